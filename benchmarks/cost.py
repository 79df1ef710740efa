"""Claim: a DiffROAR run costs a constant and so much a network, image and pixel: wall time and memory grow in straight lines.

One thing varies at a time: the networks that are fitted (one on whole images, and two a level), the training images, and the pixels
of an image; for an MLP and for a small convnet, on random images, with one worker of one thread. Every point is a process of its
own: wall time of the run, and the largest resident memory while it ran, data included, less what the libraries took before. The
line is that of least squares on relative errors: a constant, a rate, and how far the point is off that lies farthest from it.
Run: `OMP_NUM_THREADS=1 python benchmarks/cost.py`. About 5 minutes on one core. Linux only.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.optimize import nnls

from _processes import alone, peak, reset_peak
from _record import RESULTS, Row, benchmark_parser, recording, save_figure
from gradaudit.files import write_text

CELLS, IMAGES, SIDES = (2, 4, 8, 16), (2000, 4000, 8000, 16000, 32000), (14, 28, 56, 112)
OFF = 0.2  # of a point from its line, which still counts as one
MEASURES = {"seconds": "s", "megabytes": "MB"}


@dataclass(frozen=True)
class Point:
    """A run: its learner and epochs, levels, training images and their side."""

    network: str
    epochs: int
    levels: int
    images: int
    side: int

    @property
    def networks(self) -> int:
        """That are fitted: one on whole images, and top and bottom at each level."""
        return 1 + 2 * self.levels

    @property
    def features(self) -> int:
        """Pixels of an image."""
        return self.side**2


BASES = (Point("mlp", 2, 2, 8000, 28), Point("convnet(width=8)", 1, 2, 2000, 28))
VARIED = {"networks": ("levels", CELLS), "images": ("images", IMAGES), "features": ("side", SIDES)}
ONE = {"networks": "a network", "images": "an image", "features": "a pixel"}
TICKS = [digit * 10.0**power for power in range(-2, 4) for digit in (1, 2, 5)]
WORDS = {"networks": "networks", "images": "training images", "features": "pixels of an image"}


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS / "cost")
    arguments = parser.parse_args()
    with recording(__file__, __doc__, arguments) as rows:
        table = measured(arguments.rounds, arguments.short)
        lines = lines_of(table)
        print(table.round(2).to_string(index=False))
        rows += as_rows(table, lines)
    if not arguments.short:
        write_text(arguments.out / "cost.csv", table.round(4).to_csv(index=False))
        save_figure(arguments.out / "cost.svg", drawn(table, lines))


def measured(rounds: int, short: bool) -> pd.DataFrame:
    """Every point in turn, one row each; what varies in it, seconds and megabytes."""
    rows = []
    for number in range(rounds):
        for base in BASES:
            for what, (name, values) in VARIED.items():
                small = replace(base, images=base.images // 10) if short else base
                for value in values[:3] if short else values:
                    point = replace(small, **{name: value // 10 if short and name == "images" else value})
                    seconds, memory = alone(run, point)
                    found = {"varied": what, **vars(point), "networks": point.networks, "features": point.features}
                    rows.append({"round": number, **found, "seconds": seconds, "megabytes": memory / 1e6})
                    print(f"{what}: {point}: {seconds:.2f} s, {memory / 1e6:.0f} MB", flush=True)
    return pd.DataFrame(rows)


def run(point: Point) -> tuple[float, int]:
    """Seconds of a DiffROAR run in this process, and the bytes that it takes beyond the libraries."""
    import torch

    import gradaudit as ga

    torch.set_num_threads(1)

    def audit(count: int, levels: int) -> None:
        rng = np.random.default_rng(0)
        shape = (1, point.side, point.side)
        train, test = (
            ga.ImageSet(rng.integers(0, 256, (n, *shape), np.uint8), rng.integers(0, 10, n), tuple("0123456789"))
            for n in (count, count // 4)
        )
        torch.manual_seed(0)
        classifier = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(point.features, 10))
        learner = ga.Recipe(network=point.network, epochs=point.epochs)
        chosen = np.linspace(0.05, 0.9, levels).tolist()
        options = {"levels": chosen, "seeds": 1, "controls": (), "mask_only": False, "workers": 1, "device": "cpu"}
        with tempfile.TemporaryDirectory() as store:
            ga.diffroar(classifier, train, test, evaluate="retrain", learner=learner, store=store, **options)

    audit(200, 1)  # imports, and kernels that are chosen once
    before = reset_peak()
    start = time.perf_counter()
    audit(point.images, point.levels)
    return time.perf_counter() - start, peak() - before


@dataclass(frozen=True)
class Line:
    """Of a measure against what varies: a constant, so much for each, and the largest relative distance of a point from it."""

    constant: float
    rate: float
    off: float

    def at(self, x: np.ndarray) -> np.ndarray:
        """Its heights."""
        return self.constant + self.rate * x


def fitted(x: np.ndarray, y: np.ndarray) -> Line:
    """The line through positive numbers (n,), n of at least 3, with the least squares of relative errors; neither part below 0."""
    (constant, rate), _ = nnls(np.stack([1 / y, x / y], axis=1), np.ones(len(x)))
    line = Line(float(constant), float(rate), 0.0)
    return replace(line, off=float(np.abs(line.at(x) / y - 1).max()))


def lines_of(table: pd.DataFrame) -> dict[tuple[str, str, str], Line]:
    """By network, what is varied, and measure; of each point the median over the rounds."""
    groups = table.groupby(["network", "varied"], sort=False)
    found = {}
    for (network, varied), points in groups:
        middle = points.groupby(varied)[list(MEASURES)].median()
        for measure in MEASURES:
            found[network, varied, measure] = fitted(middle.index.to_numpy(float), middle[measure].to_numpy(float))
    return found


def each(table: pd.DataFrame, network: str) -> float:
    """Nanoseconds for each network, epoch, training image and feature, where most of each are: the rest is constant."""
    points = table[table["network"] == network]
    work = points["networks"] * points["epochs"] * points["images"] * points["features"]
    return float((1e9 * points["seconds"] / work)[work == work.max()].median())


def as_rows(table: pd.DataFrame, lines: dict[tuple[str, str, str], Line]) -> list[Row]:
    """Of the record."""
    rows = []
    for (network, varied, measure), line in lines.items():
        of, unit, one = ("wall time" if measure == "seconds" else "memory"), MEASURES[measure], ONE[varied]
        what = f"{network}: {of} is {line.constant:.2g} {unit} and {line.rate:.2g} {unit} {one}; its farthest point is off by"
        rows.append(Row(what, line.off, "of it", at_most=OFF))
    for network in table["network"].unique():
        rows.append(Row(f"{network}: wall time", each(table, network), "ns a network, epoch, image and pixel"))
    return rows


def drawn(table: pd.DataFrame, lines: dict[tuple[str, str, str], Line]) -> Figure:
    """Wall time above, memory below; a column for each thing that varies, a colour for each learner."""
    figure = Figure(figsize=(10, 5.5), layout="constrained")
    grid = figure.subplots(len(MEASURES), len(VARIED), sharex="col", squeeze=False)
    for axes_row, (measure, unit) in zip(grid, MEASURES.items(), strict=True):
        for axes, varied in zip(axes_row, VARIED, strict=True):
            for place, network in enumerate(table["network"].unique()):
                points = table[(table["network"] == network) & (table["varied"] == varied)]
                line, color = lines[network, varied, measure], f"C{place}"
                axes.plot(points[varied], points[measure], "o", color=color, markersize=4)
                ends = np.geomspace(points[varied].min(), points[varied].max(), 60)
                label = f"{network}: {line.constant:.2g} + {line.rate:.2g} {ONE[varied]}"
                axes.plot(ends, line.at(ends), color=color, label=label)
            axes.set(xscale="log", yscale="log", ylabel=f"{'wall time' if unit == 's' else 'memory'}, {unit}")
            axes.set_xlabel(WORDS[varied] if measure == "megabytes" else "")
            axes.set_xticks(points[varied].unique(), [f"{value:,}" for value in points[varied].unique()], fontsize="x-small")
            axes.minorticks_off()
            low, high = axes.get_ylim()
            axes.set_yticks(ticks := [tick for tick in TICKS if low <= tick <= high], [f"{tick:g}" for tick in ticks])
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize="x-small", frameon=False)
    return figure


if __name__ == "__main__":
    main()
