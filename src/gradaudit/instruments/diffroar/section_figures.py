"""DiffROAR's figures: the comparison of all curves, and the accuracies or bits behind one of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from markupsafe import Markup

from gradaudit.instruments.diffroar import DiffROARResult
from gradaudit.instruments.diffroar.measures import Measure
from gradaudit.markup.inline_svg import figure_style, inline_svg
from gradaudit.markup.strokes import STAND_INS, Stroke
from gradaudit.markup.tables import number, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches at 72 points: drawn near the size at which they are shown, so that their text is as large as the page's.
WIDE, NARROW, SMALL = (7.4, 4.1), (4.1, 3.9), (4.4, 3.1)

TOP, BOTTOM = Stroke("top", mark="^"), Stroke("bottom", mark="v")
MASK_TOP, MASK_BOTTOM = Stroke("top", (4, 2), "^", hollow=True), Stroke("bottom", (4, 2), "v", hollow=True)
BOTH_TOP, BOTH_BOTTOM = Stroke("top", (1, 2), "D"), Stroke("bottom", (1, 2), "D")
WHOLE, CHANCE = Stroke("ink"), Stroke("soft", (1, 2))

AXES = {  # of each measure: the words on its axis, and what it can reach
    "": ("DiffROAR = accuracy(top) \N{MINUS SIGN} accuracy(bottom)", 1.05),
    "conditional_": ("DiffROAR given the mask, bits", math.inf),
    "values_": ("values of top \N{MINUS SIGN} values of bottom, bits", math.inf),
}


BITS_STROKES = {
    "bits_top": TOP,
    "bits_bottom": BOTTOM,
    "bits_mask_top": MASK_TOP,
    "bits_mask_bottom": MASK_BOTTOM,
    "bits_both_top": BOTH_TOP,
    "bits_both_bottom": BOTH_BOTTOM,
    "whole_bits": WHOLE,
    "nothing": CHANCE,
}

VALUES_STROKES = {"values_top": TOP, "values_bottom": BOTTOM, "whole": WHOLE, "chance": CHANCE}


@dataclass(frozen=True)
class Curve:
    """One DiffROAR curve: its name, its look, and its `level`, `mean`, `low` and `high`."""

    label: str
    stroke: Stroke
    rows: pd.DataFrame

    def words(self) -> str:
        """The curve for those who can't see it."""
        points = zip(self.rows["level"], self.rows["mean"], strict=True)
        return f"{self.label}: " + ", ".join(f"{number(mean, signed=True).text} at {percent(level)}" for level, mean in points)


def curve_rows(result: DiffROARResult, attribution: str, measure: Measure) -> pd.DataFrame:
    """What a `Curve` shows of a measure."""
    rows = result.summary[result.summary["attribution"] == attribution]
    return pd.DataFrame({"level": rows["level"]} | {part: rows[f"{measure.prefix}{part}"] for part in ("mean", "low", "high")})


def difference_figures(curves: Sequence[Curve], measure: Measure, identity: str = "") -> dict[str, Markup]:
    """The measure against level with 95 % intervals, every curve in one figure; drawn for `wide` and for `narrow` screens.

    `identity` begins the figures' names, where the page has others of the same measure.
    """
    ylabel, most = AXES[measure.prefix]
    label = f"{ylabel}, against the share of features kept. " + "; ".join(curve.words() for curve in curves)
    sizes = {"wide": WIDE, "narrow": NARROW}
    found = {}
    for name, size in sizes.items():
        with figure_style():
            figure = _difference_figure(curves, size, ylabel, most)
            found[name] = inline_svg(figure, f"{identity}{measure.column}-{name}", label)
    return found


def values_figure(result: DiffROARResult, attribution: str, name: str, label: str) -> Markup:
    """What the values of top and bottom tell, in bits, against level: means over seeds as curves, each seed as a dot."""
    nothing = result.details["nothing"]
    lines = {"whole": nothing - float(np.mean(result.details["whole_bits"])), "chance": 0.0}
    low = min(0.0, float(result.table[["values_top", "values_bottom"]].to_numpy().min()))
    limits = (low - 0.04 * nothing, 1.04 * nothing)
    return _learners_figure(result, attribution, VALUES_STROKES, lines, "bits of the label told", limits, name, label)


def accuracy_figure(result: DiffROARResult, attribution: str, name: str, label: str) -> Markup:
    """Test accuracies of the learners against level: means over seeds as curves, each seed as a dot."""
    strokes = accuracy_strokes(result, attribution)
    lines = {"whole": float(np.mean(result.details["whole"])), "chance": result.details["chance"]}
    return _learners_figure(result, attribution, strokes, lines, "test accuracy of the learner", (-0.02, 1.03), name, label)


def bits_figure(result: DiffROARResult, attribution: str, name: str, label: str) -> Markup:
    """What the learners leave open of the label, in bits, against level: means over seeds as curves, each seed as a dot."""
    nothing = result.details["nothing"]
    lines = {"whole_bits": float(np.mean(result.details["whole_bits"])), "nothing": nothing}
    words = "bits of the label left open"
    return _learners_figure(result, attribution, BITS_STROKES, lines, words, (-0.02 * nothing, 1.1 * nothing), name, label)


def _learners_figure(
    result: DiffROARResult,
    attribution: str,
    strokes: Mapping[str, Stroke],
    lines: Mapping[str, float],
    ylabel: str,
    ylim: tuple[float, float],
    name: str,
    label: str,
) -> Markup:
    from matplotlib.figure import Figure

    rows = result.summary[result.summary["attribution"] == attribution]
    seeds = result.table[result.table["attribution"] == attribution]
    with figure_style():
        figure = Figure(figsize=SMALL, layout="constrained")
        axes = figure.subplots()
        for column, stroke in strokes.items():
            if column in lines:
                axes.axhline(lines[column], **stroke.options())
            else:
                mean = f"{column}_mean" if f"{column}_mean" in rows else column
                axes.plot(rows["level"] * 100, rows[mean], **stroke.options())
                axes.scatter(seeds["level"] * 100, seeds[column], s=4, color=STAND_INS[stroke.color], alpha=0.45, linewidths=0)
        axes.set(ylabel=ylabel, ylim=ylim)
        _level_axis(axes, rows["level"], SMALL[0])
        return inline_svg(figure, name, label)


def accuracy_strokes(result: DiffROARResult, attribution: str) -> dict[str, Stroke]:
    """The curves of `accuracy_figure` by their column; mask-only curves only where they were measured."""
    rows = result.summary[result.summary["attribution"] == attribution]
    masks = {"mask_top": MASK_TOP, "mask_bottom": MASK_BOTTOM}
    measured = {column: stroke for column, stroke in masks.items() if rows[column].notna().all()}
    return {"top": TOP, "bottom": BOTTOM, **measured, "whole": WHOLE, "chance": CHANCE}


def _difference_figure(curves: Sequence[Curve], size: tuple[float, float], ylabel: str, most: float) -> Figure:
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
    _level_axis(axes, levels, size[0])
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


def _level_axis(axes: Axes, levels: pd.Series, inches: float) -> None:
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
    axes.set(xlabel="features kept, %", xlim=(low - pad, high + pad))
    axes.grid(visible=False, axis="x")
