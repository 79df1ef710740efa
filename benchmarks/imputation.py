"""Claim: noisy linear imputation of a batch of 28x28 images at least 20 times faster than one sparse direct solve an image where
a fifth of the pixels or less is kept at random, and equal within 1e-4 everywhere.

In clusters, where holes are larger, it is less; and on one thread of a CPU 3x32x32 images gain 2 to 8 times, since the sparse
solver factorises their system once for all three channels.
The other way is scipy's `spsolve` on each image's own system, which is assembled without a Python loop over pixels and solved once
for all channels. The iterative solver runs on batches, in float32 as it is used, and in float64, where the two are compared. The
noise, the same for both, is left out. Masks keep pixels at random, or in clusters, as attributions do. Rounds in turn, medians of
the ratios within a round.
Run: `OMP_NUM_THREADS=1 python benchmarks/imputation.py`. About 2 minutes on one thread.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict

import numpy as np
import torch
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import spsolve
from torch import Tensor
from torch.nn import functional

from _record import Row, benchmark_parser, recording
from _timing import compared, settle
from gradaudit.attributions import kept, rank
from gradaudit.datasets import load_images
from gradaudit.fills import resolve_fill
from gradaudit.images import ImageSet

LEVELS = (0.02, 0.05, 0.1, 0.2, 0.5, 0.9)
NEEDED, EQUAL = 20, 1e-4
CLAIMED = 0.2  # share of the pixels that is kept, at the most
ONE_BY_ONE = 24  # images of the slow way in a round
WEIGHTS = [(i, j, 1 / 12 if i and j else 1 / 6) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=512, help="images in a batch")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_flush_denormal(True)
    digits, _ = load_images("mnist5k")
    colours = ImageSet(
        torch.randint(0, 256, (arguments.images, 3, 32, 32), dtype=torch.uint8), digits.labels[: arguments.images], digits.classes
    )
    print(
        f"{arguments.images} images in a batch, torch {torch.__version__}, {arguments.device}, {torch.get_num_threads()} threads\n"
    )
    print("| images | masks | kept | one by one, ms | float32, ms | faster | float64, ms | faster | differ by, float64 | float32 |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    with recording(__file__, __doc__, arguments) as rows:
        cases = []
        for images in (digits[: arguments.images], colours):
            for clustered in (False, True):
                for level in LEVELS[2:4] if arguments.short else LEVELS:
                    cases.append(Case(images, level, clustered, 1 if arguments.short else arguments.rounds, arguments.device))
                    print(cases[-1].line(), flush=True)
        rows += as_rows(cases)


class Case:
    """Both ways on one kind of images and masks: their seconds an image, by round, and how far they are apart."""

    def __init__(self, images: ImageSet, level: float, clustered: bool, rounds: int, device: str) -> None:
        self.size, self.kind, self.level = "x".join(map(str, images.shape)), "clusters" if clustered else "random", level
        mask = masks(len(images), images.shape, level, clustered)
        pixels = images.floats().double() * mask
        self.slow: list[float] = []
        self.fast: dict[torch.dtype, list[float]] = defaultdict(list)
        self.off: dict[torch.dtype, float] = {}
        fill = resolve_fill("imputation(noise=0)", images, device=device)
        for _ in range(rounds):
            spent, exact = one_by_one(pixels[:ONE_BY_ONE].numpy(), mask[:ONE_BY_ONE, 0].numpy())
            self.slow.append(spent / ONE_BY_ONE)
            for dtype in (torch.float32, torch.float64):
                spent, found = batched(fill, pixels.to(device, dtype), mask.to(device))
                self.fast[dtype].append(spent / len(images))
                self.off[dtype] = float((found[:ONE_BY_ONE].cpu().double() - exact).abs().max())

    def line(self) -> str:
        """Of the table."""
        cells = [self.size, self.kind, f"{self.level:.0%}", f"{1e3 * statistics.median(self.slow):.2f}"]
        for spent in self.fast.values():
            cells += [f"{1e3 * statistics.median(spent):.3f}", f"{compared(self.slow, spent)['ratio']:.0f}"]
        return "| " + " | ".join([*cells, f"{self.off[torch.float64]:.0e}", f"{self.off[torch.float32]:.0e}"]) + " |"

    @property
    def claimed(self) -> bool:
        """Whether the claim is about it."""
        return self.size == "1x28x28" and self.kind == "random" and self.level <= CLAIMED

    def row(self) -> Row:
        """Of the record."""
        spent = self.fast[torch.float32]
        what = f"{self.size}, {self.kind}, {self.level:.0%} kept: float32"
        ratio = compared(self.slow, spent)
        return Row(what, 1e3 * statistics.median(spent), "ms", "one by one", **ratio, at_least=NEEDED if self.claimed else None)


def as_rows(cases: list[Case]) -> list[Row]:
    """The claim's cases, the slowest of the others of each kind, and how far the two ways are apart."""
    others: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for case in cases:
        if not case.claimed:
            others[case.size, case.kind].append(case)
    slowest = [min((case.row() for case in group), key=lambda row: row.ratio or 0.0) for group in others.values()]
    apart = [
        Row(f"largest difference, {str(dtype).removeprefix('torch.')}", max(case.off[dtype] for case in cases), at_most=EQUAL)
        for dtype in (torch.float64, torch.float32)
    ]
    return [*(case.row() for case in cases if case.claimed), *slowest, *apart]


def masks(count: int, shape: tuple[int, int, int], level: float, clustered: bool) -> Tensor:
    """Boolean (count, 1, H, W) that keep the share of the pixels with the highest scores: noise, or noise that was smoothed."""
    scores = torch.randn(count, 1, *shape[1:])
    if clustered:
        scores = functional.avg_pool2d(scores, 5, 1, 2) + 10
    pixels = shape[1] * shape[2]
    ranks = torch.from_numpy(rank(scores, 0, 0, "pixels"))
    return kept(ranks, round(level * pixels), "top").view(count, 1, *shape[1:])


def batched(fill, pixels: Tensor, mask: Tensor) -> tuple[float, Tensor]:
    start = time.perf_counter()
    filled = fill(pixels, mask)
    settle()
    return time.perf_counter() - start, filled


def one_by_one(images: np.ndarray, known: np.ndarray) -> tuple[float, Tensor]:
    start = time.perf_counter()
    filled = np.stack([solved(image, where) for image, where in zip(images, known, strict=True)])
    return time.perf_counter() - start, torch.from_numpy(filled)


def solved(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The image (C, H, W) with its removed pixels as one sparse solve gives them."""
    height, width = known.shape
    rows, columns = np.nonzero(~known)
    count = len(rows)
    unknown = np.full(known.shape, -1)
    unknown[rows, columns] = np.arange(count)
    entries, diagonal, right = [], np.zeros(count), np.zeros((count, len(image)))
    for down, across, weight in WEIGHTS:
        i, j = rows + down, columns + across
        inside = np.flatnonzero((i >= 0) & (i < height) & (j >= 0) & (j < width))
        diagonal[inside] += weight
        near = unknown[i[inside], j[inside]]
        free, given = inside[near >= 0], inside[near < 0]
        entries.append((free, near[near >= 0], np.full(len(free), -weight)))
        right[given] += weight * image[:, i[given], j[given]].T
    entries.append((np.arange(count), np.arange(count), diagonal))
    at, to, values = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    found = spsolve(csc_matrix((values, (at, to)), shape=(count, count)), right)
    filled = image.copy()
    filled[:, rows, columns] = found.reshape(count, -1).T
    return filled


if __name__ == "__main__":
    main()
