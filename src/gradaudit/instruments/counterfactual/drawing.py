"""The figure: how many were flipped and agreed with, and how the diagnostics went step by step."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from gradaudit.instruments.counterfactual.shown import Shown
from gradaudit.instruments.counterfactual.summary import AGREED, DISAGREE_RATE, FLIP_RATE, KEPT
from gradaudit.lettering import legible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NARROW = 24  # letters of a legend's line: names of methods with all their options are long

# Each panel, and the diagnostics in it with the line that each is drawn by.
PANELS = {
    "confidence in the target": {"confidence": "-"},
    "the other's confidence": {"confidence_kept": "-"},
    "L1 distance to the original": {"distance": "-"},
    "angle of the gradients, degrees": {"angle_before": ":", "angle_after": "-"},
    "share of agreeing pixels": {"consensus": "-"},
    "norm of the gradient": {"class_norm": "-", "distance_norm": ":"},
    "share of the pull along the manifold": {"tangent_share": "-"},
}


def draw(result: Shown) -> Figure:
    """Shares by method above, a panel for each group of diagnostics below."""
    from matplotlib.figure import Figure

    panels = drawn_panels(result)
    down = 1 + (len(panels) + 1) // 2
    figure = Figure(figsize=(8.0, 1.2 + 2.4 * down), layout="constrained")
    grid = figure.add_gridspec(down, 2)
    _shares(figure.add_subplot(grid[0, :]), result)
    for place, panel in enumerate(panels):
        axes = figure.add_subplot(grid[1 + place // 2, place % 2])
        for turn, method in enumerate(result.methods):
            for name, line in panels[panel].items():
                _curve(axes, result.steps[method].get(name), f"C{turn}", line)
        axes.set(xlabel="step")
        axes.set_title(panel, fontsize="medium")
        if len(panels[panel]) > 1:  # colours are the methods', as above
            for name, line in panels[panel].items():
                axes.plot([], [], color="0.3", linestyle=line, label=name.replace("_", " "))
            axes.legend(fontsize="x-small")
    return legible(figure, result.settings.get("classes", ()))


def drawn_panels(result: Shown) -> dict[str, dict[str, str]]:
    """The panels of which some method has a diagnostic, with those that some method has."""
    had = {name for found in result.steps.values() for name, values in found.items() if np.isfinite(values).any()}
    panels = {panel: {name: line for name, line in names.items() if name in had} for panel, names in PANELS.items()}
    return {panel: names for panel, names in panels.items() if names}


def shares_of(result: Shown) -> list[str]:
    """The lines of the summary that are shares of images: flipped, and of these by what each oracle sees."""
    if "other" not in result.table:
        return [FLIP_RATE, *(AGREED + oracle for oracle in result.oracles)]
    return [DISAGREE_RATE, *(begin + oracle for oracle in result.oracles for begin in (AGREED, KEPT))]


def is_share(name: str) -> bool:
    """Whether a line of the summary is such a share."""
    return name in (FLIP_RATE, DISAGREE_RATE) or name.startswith((AGREED, KEPT))


def share_label(name: str) -> str:
    """Such a share in words."""
    if name in (FLIP_RATE, DISAGREE_RATE):
        return "flipped" if name == FLIP_RATE else "the two disagree"
    if name.startswith(KEPT):
        return f"{name.removeprefix(KEPT)} agrees with the other"
    return f"{name.removeprefix(AGREED)} agrees"


def quartiles(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The steps that some image has, (S,), and lower quartile, median and upper quartile over images there, (3, S)."""
    steps = np.flatnonzero(np.isfinite(values).any(axis=0))
    return steps, np.nanquantile(np.where(np.isfinite(values), values, np.nan)[:, steps], [0.25, 0.5, 0.75], axis=0)


def _curve(axes: Axes, values: np.ndarray | None, color: str, line: str) -> None:
    if values is None or not np.isfinite(values).any():
        return
    steps, (low, middle, high) = quartiles(values)
    axes.plot(steps, middle, color=color, linestyle=line)
    axes.fill_between(steps, low, high, color=color, alpha=0.15, linewidth=0)


def _shares(axes: Axes, result: Shown) -> None:
    names = shares_of(result)
    for turn, method in enumerate(result.methods):
        own = result.summary[result.summary["method"] == method].set_index("measure").reindex(names)
        spread = np.vstack([own["value"] - own["low"], own["high"] - own["value"]])
        places = np.arange(len(names)) + (turn - (len(result.methods) - 1) / 2) * 0.12
        style: dict[str, Any] = {"linestyle": "none", "marker": "os^Dv"[turn % 5], "capsize": 2}
        axes.errorbar(own["value"], places, xerr=spread, color=f"C{turn}", label=fill(method, NARROW), **style)
    axes.set_yticks(range(len(names)), labels=[share_label(names[0]), *(f"of these, {share_label(one)}" for one in names[1:])])
    axes.axvline(0.5, color="0.6", linewidth=0.8, linestyle=":")
    axes.set(xlabel="share of images", xlim=(-0.02, 1.02), ylim=(len(names) - 0.5, -0.5), title="Counterfactuals")
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
