"""The picture of fills: digits of which 2, 10 and 50 % of the pixels are kept, by every fill.

The kept pixels are those that the packaged standard classifier's gradient ranks highest; a second block keeps pixels at random.
Run: `python docs/pictures/fills.py`. With `--data-dir` or `GRADAUDIT_DATA` the digits are MNIST's, else those that come with
the package. About 20 seconds on one core.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from gradaudit.attributions import attribute_all, kept, rank
from gradaudit.classifiers import load_classifier
from gradaudit.datasets import load_images
from gradaudit.devices import seeded
from gradaudit.fills import resolve_fill
from gradaudit.images import ImageSet

FILLS = ("zero", "mean", "noise", "blur", "imputation", "generative(denoiser='zoo:mnist')")
LEVELS = (0.02, 0.1, 0.5)
DIGITS = 4
ORANGE = torch.tensor([1.0, 0.5, 0.0])


def main() -> None:
    """Write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("GRADAUDIT_DATA"))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".png"))
    arguments = parser.parse_args()
    train, test = load_images("mnist" if arguments.data_dir else "mnist5k", folder=arguments.data_dir)
    digits = test.sample(DIGITS, 1)
    scores = {
        "highest gradient": attribute_all(load_classifier("zoo:mnist/standard"), digits, "logit_gradient", device="cpu"),
        "at random": torch.rand(digits.images.shape, generator=torch.Generator().manual_seed(0)),
    }
    figure = Figure(figsize=(11, 4.3), layout="constrained")
    axes = figure.subplots(2 + len(FILLS), 2 * len(LEVELS), squeeze=False)
    for column, (which, level) in enumerate((which, level) for which in scores for level in LEVELS):
        for row, (name, pictures) in enumerate(sheets(digits, scores[which], level, train)):
            panel = axes[row, column]
            panel.imshow(pictures.numpy(), vmin=0, vmax=1, cmap="gray", interpolation="nearest", aspect="equal")
            panel.set_xticks([])
            panel.set_yticks([])
            if row == 0:
                panel.set_title(f"{level:.0%} kept, {which}", fontsize=8)
            if column == 0:
                panel.set_ylabel(name.partition("(")[0], fontsize=8, rotation=0, ha="right", va="center")
    figure.savefig(arguments.out, dpi=100)
    print(f"{arguments.out.stat().st_size:,} bytes  {arguments.out}")


def sheets(digits: ImageSet, scores: Tensor, level: float, train: ImageSet) -> list[tuple[str, Tensor]]:
    """The digits, the mask on them, and every fill: side by side, (28, 28 * DIGITS) or with colours in a third dimension."""
    images = digits.floats()
    ranks = torch.from_numpy(rank(scores, 0, 0, "pixels"))
    mask = kept(ranks, round(level * ranks.shape[1]), "top").view_as(images)
    shown = torch.where(mask, images, 0).movedim(1, -1).expand(-1, -1, -1, 3)
    shown = torch.where(mask.movedim(1, -1), shown, ORANGE / 2)
    rows = [("image", beside(images[:, 0])), ("kept", beside(shown))]
    with seeded(0):
        return [*rows, *((name, beside(resolve_fill(name, train)(images, mask)[:, 0])) for name in FILLS)]


def beside(pictures: Tensor) -> Tensor:
    """Pictures (N, H, W, ...) from left to right."""
    return torch.cat(list(pictures), dim=1)


if __name__ == "__main__":
    main()
