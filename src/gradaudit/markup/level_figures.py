"""Curves of a difference against a share of features, with intervals: for DiffROAR, fidelity and flips by region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from markupsafe import Markup

from gradaudit.markup.inline_svg import figure_style, inline_svg
from gradaudit.markup.strokes import STAND_INS, Stroke
from gradaudit.markup.tables import number, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches at 72 points: drawn near the size at which they are shown, so that their text is as large as the page's.
SIZES = {"wide": (7.4, 4.1), "narrow": (4.1, 3.9)}


@dataclass(frozen=True)
class Curve:
    """One curve: its name, its look, and its `level`, `mean`, `low` and `high`."""

    label: str
    stroke: Stroke
    rows: pd.DataFrame

    def words(self) -> str:
        """The curve for those who can't see it."""
        points = zip(self.rows["level"], self.rows["mean"], strict=True)
        return f"{self.label}: " + ", ".join(f"{number(mean, signed=True).text} at {percent(level)}" for level, mean in points)


def level_figures(
    curves: Sequence[Curve], *, name: str, ylabel: str, most: float, across: str = "features kept"
) -> dict[str, Markup]:
    """A difference against level with 95 % intervals, every curve in one figure; drawn for `wide` and for `narrow` screens.

    Args:
        curves: the audited ones first.
        name: what the figures' identities in the page begin with.
        ylabel: what the difference is.
        most: the largest size that it can have.
        across: of what a level is a share.
    """
    label = f"{ylabel}, against the share of {across}. " + "; ".join(curve.words() for curve in curves)
    found = {}
    for screen, size in SIZES.items():
        with figure_style():
            found[screen] = inline_svg(_figure(curves, size, ylabel, most, across), f"{name}-{screen}", label)
    return found


def _figure(curves: Sequence[Curve], size: tuple[float, float], ylabel: str, most: float, across: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.axhline(0, color=STAND_INS["ink"], linewidth=0.9)
    levels = pd.concat([curve.rows["level"] for curve in curves])
    step = _sideways(levels, len(curves))
    # Audited curves are drawn last, above the controls.
    for place, curve in reversed(list(enumerate(curves))):
        _draw(axes, curve, (place - (len(curves) - 1) / 2) * step)
    axes.set(ylabel=ylabel, ylim=_limits(curves, most))
    level_axis(axes, levels, size[0], across)
    return figure


def _sideways(levels: pd.Series, curves: int) -> float:
    """Percent between neighbouring curves at one level, so that intervals do not hide each other but levels stay apart."""
    found = np.unique(levels) * 100
    if len(found) < 2:
        return 0.1
    width = min(0.5 * float(np.diff(found).min()), 0.04 * float(np.ptp(found)))
    return min(width / curves, 0.01 * float(np.ptp(found)))


def _draw(axes: Axes, curve: Curve, aside: float) -> None:
    rows = curve.rows
    levels = rows["level"] * 100 + aside
    spread = np.vstack([rows["mean"] - rows["low"], rows["high"] - rows["mean"]])
    bars = None if np.isnan(spread).any() else spread
    axes.errorbar(levels, rows["mean"], yerr=bars, capsize=2.5, elinewidth=1, **curve.stroke.options())


def _limits(curves: Sequence[Curve], most: float) -> tuple[float, float]:
    """Room for all means and intervals, but no more than the measure can reach."""
    values = np.concatenate([curve.rows[["mean", "low", "high"]].to_numpy().ravel() for curve in curves])
    low, high = min(0.0, float(np.nanmin(values))), max(0.0, float(np.nanmax(values)))
    pad = 0.06 * max(high - low, 0.05)
    return max(low - pad, -most), min(high + pad, most)


def level_axis(axes: Axes, levels: pd.Series, inches: float, across: str = "features kept") -> None:
    """Ticks at the levels themselves, save for labels that would touch their neighbour."""
    found = sorted(set(levels * 100))
    low, high = found[0], found[-1]
    pad = max(0.04 * (high - low), 1.0)
    room = (high - low + 2 * pad) / inches * 0.3
    labelled: list[float] = []
    for level in reversed(found):
        if not labelled or labelled[-1] - level >= room:
            labelled.append(level)
    axes.set_xticks(found, labels=[f"{level:.4g}" if level in labelled else "" for level in found])
    axes.set(xlabel=f"{across}, %", xlim=(low - pad, high + pad))
    axes.grid(visible=False, axis="x")
