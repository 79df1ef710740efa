"""The gallery: originals beside their counterfactuals, what differs, and what the classifier makes of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from gradaudit.instruments.counterfactual.shown import Shown
from gradaudit.lettering import legible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def gallery(result: Shown, count: int) -> Figure:
    """A row an image: the original, and for each method the counterfactual and the difference, of each of a set."""
    from matplotlib.figure import Figure

    shown = result.examples(count)
    across = 1 + 2 * len(result.methods) * set_size(result)
    figure = Figure(figsize=(1.5 * across, 1.75 * len(shown)), layout="constrained")
    for axes, example in zip(figure.subplots(len(shown), across, squeeze=False), shown, strict=True):
        first = example[result.methods[0]]
        _image(axes[0], result.originals[first], f"{result.table['source'][first]}, to be {result.table['target'][first]}")
        rows = [(method, row) for method, one in example.items() for row in set_of(result, one)]
        for turn, (method, row) in enumerate(rows):
            words = (method, confidences(result, row), *([other] if (other := of_other(result, row)) else []))
            _image(axes[1 + 2 * turn], result.images[row], "\n".join(words))
            _difference(axes[2 + 2 * turn], difference(result, row))
    return legible(figure, result.settings.get("classes", ()))


def set_size(result: Shown) -> int:
    """Counterfactuals of an image that are shown together: all of them where they repel each other, else one."""
    return int(result.settings["seeds"]) if result.settings.get("repulsion") else 1


def set_of(result: Shown, row: int) -> list[int]:
    """The rows that are shown with a row: those of the same method, image and target where they repel each other."""
    keys = ["method", "image", "target"]
    same = (result.table[keys] == result.table.loc[row, keys]).all(axis=1)
    return [int(one) for one in result.table.index[same]] if set_size(result) > 1 else [row]


def confidences(result: Shown, row: int) -> str:
    """The classifier's confidence in the target before and after, or that there is no counterfactual."""
    found = result.table.loc[row]
    if found["failed"]:
        return "failed"
    return f"{found['target']}: {found['confidence_before']:.0%} to {found['confidence_after']:.0%}"


def of_other(result: Shown, row: int) -> str:
    """What the classifier that was to keep its class sees now, and its confidence in that class; empty where there was none."""
    if "other" not in result.table or result.table["failed"][row]:
        return ""
    found = result.table.loc[row]
    sees = "still" if found["kept"] else f"{found['other']}, not"
    return f"the other: {sees} {found['source']} ({found['confidence_kept']:.0%})"


def difference(result: Shown, row: int) -> Tensor:
    """Counterfactual less original, floats (C, H, W) in [-1, 1]."""
    return (result.images[row].float() - result.originals[row].float()) / 255


def _image(axes: Axes, image: Tensor, title: str) -> None:
    axes.imshow(image.movedim(0, -1).numpy(), cmap="gray", vmin=0, vmax=255)
    axes.set_title(title, fontsize="x-small")
    axes.set_axis_off()


def _difference(axes: Axes, change: Tensor) -> None:
    summed = change.sum(dim=0).numpy()
    limit = float(np.abs(summed).max()) or 1.0
    axes.imshow(summed, cmap="RdBu_r", vmin=-limit, vmax=limit)
    axes.set_title("difference", fontsize="x-small")
    axes.set_axis_off()
