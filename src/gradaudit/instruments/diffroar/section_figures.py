"""DiffROAR's figures: the comparison of all curves, and the accuracies or bits behind one of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup

from gradaudit.instruments.diffroar import DiffROARResult
from gradaudit.instruments.diffroar.measures import Measure
from gradaudit.markup.inline_svg import figure_style, inline_svg
from gradaudit.markup.level_figures import Curve, level_axis, level_figures
from gradaudit.markup.strokes import STAND_INS, Stroke

SMALL = (4.4, 3.1)  # inches

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


def curve_rows(result: DiffROARResult, attribution: str, measure: Measure) -> pd.DataFrame:
    """What a `Curve` shows of a measure."""
    rows = result.summary[result.summary["attribution"] == attribution]
    return pd.DataFrame({"level": rows["level"]} | {part: rows[f"{measure.prefix}{part}"] for part in ("mean", "low", "high")})


def difference_figures(curves: Sequence[Curve], measure: Measure, identity: str = "") -> dict[str, Markup]:
    """The measure against level with 95 % intervals, every curve in one figure; drawn for `wide` and for `narrow` screens.

    `identity` begins the figures' names, where the page has others of the same measure.
    """
    ylabel, most = AXES[measure.prefix]
    return level_figures(curves, name=f"{identity}{measure.column}", ylabel=ylabel, most=most)


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
        level_axis(axes, rows["level"], SMALL[0])
        return inline_svg(figure, name, label)


def accuracy_strokes(result: DiffROARResult, attribution: str) -> dict[str, Stroke]:
    """The curves of `accuracy_figure` by their column; mask-only curves only where they were measured."""
    rows = result.summary[result.summary["attribution"] == attribution]
    masks = {"mask_top": MASK_TOP, "mask_bottom": MASK_BOTTOM}
    measured = {column: stroke for column, stroke in masks.items() if rows[column].notna().all()}
    return {"top": TOP, "bottom": BOTTOM, **measured, "whole": WHOLE, "chance": CHANCE}
