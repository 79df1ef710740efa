"""Learning curves: what each epoch of a training came to, as records and as a picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
from matplotlib.figure import Figure

from gradaudit.errors import require
from gradaudit.files import whole_file
from gradaudit.lettering import legible

FORMATS = (".svg", ".png", ".pdf")


class Epoch(NamedTuple):
    """What an epoch came to.

    Args:
        number: from 1.
        loss: the mean of the objective over its steps.
        accuracy: on the test images, in [0, 1]; None where none were given.
    """

    number: int
    loss: float
    accuracy: float | None


def draw_curves(path: str | os.PathLike[str], epochs: Sequence[Epoch], title: str = "") -> Path:
    """Draw loss and test accuracy against the epoch to an `.svg`, `.png` or `.pdf` file; return its path.

    Raises:
        InputError: another kind of file, or no epochs.
        StoreError: the file can't be written.
    """
    target = Path(path)
    check_picture("path", target)
    require(len(epochs) > 0, "epochs", epochs, "at least one epoch")
    figure = _figure(epochs, title)
    # Names inside the figure are drawn at random unless salted; the same curves give the same file.
    with whole_file(target) as file, matplotlib.rc_context({"svg.hashsalt": "curves", "text.usetex": False}):
        figure.savefig(file, format=target.suffix[1:], metadata={"Date": None} if target.suffix == ".svg" else None)
    return target


def check_picture(argument: str, path: Path) -> None:
    """Raise `InputError` unless `draw_curves` can draw that kind of file."""
    require(path.suffix in FORMATS, argument, str(path), f"a file that ends in {', '.join(FORMATS)}")


def _figure(epochs: Sequence[Epoch], title: str) -> Figure:
    measured = [(epoch.number, epoch.accuracy) for epoch in epochs if epoch.accuracy is not None]
    figure = Figure(figsize=(8 if measured else 4.5, 3.2), layout="constrained")
    left, *right = figure.subplots(1, 2 if measured else 1, squeeze=False)[0]
    left.plot([epoch.number for epoch in epochs], [epoch.loss for epoch in epochs], marker="o", markersize=3)
    left.set(xlabel="epoch", ylabel="training loss (mean of the objective)", ylim=(0, None))
    if measured:
        right[0].plot(*zip(*measured, strict=True), marker="o", markersize=3, color="C1")
        right[0].set(xlabel="epoch", ylabel="test accuracy", title=f"{measured[-1][1]:.4f} at last", ylim=(None, 1))
    figure.suptitle(title)
    return legible(figure)
