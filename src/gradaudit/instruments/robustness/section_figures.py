"""Robustness's figure: accuracy against radius, every curve in one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from markupsafe import Markup

from gradaudit.instruments.robustness.result import certified_curve
from gradaudit.markup.inline_svg import figure_style, inline_svg
from gradaudit.markup.strokes import STAND_INS, Stroke
from gradaudit.markup.tables import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDE, NARROW = (7.4, 4.1), (4.1, 3.9)


@dataclass(frozen=True)
class Curve:
    """One curve: its name, what its radius is, its look, its rows of a result's table, and its steps if it was certified."""

    label: str
    norm: str
    stroke: Stroke
    rows: pd.DataFrame
    steps: tuple[np.ndarray, np.ndarray] | None

    def words(self) -> str:
        """The curve for those who can't see it."""
        points = zip(self.rows["eps"], self.rows["accuracy"], strict=True)
        return f"{self.label}: " + ", ".join(f"{percent(round(share, 4))} at {eps:.4g}" for eps, share in points)


def curve_steps(certificates: pd.DataFrame | None) -> tuple[np.ndarray, np.ndarray] | None:
    """The steps of the certified accuracy, or None where nothing was certified."""
    return None if certificates is None else certified_curve(certificates)


def robustness_figures(curves: Sequence[Curve]) -> dict[str, Markup]:
    """Accuracy against radius with 95 % intervals; drawn for `wide` and for `narrow` screens."""
    label = "Share of images that keep their label against the radius. " + "; ".join(curve.words() for curve in curves)
    return {name: _figure(curves, size, f"robustness-{name}", label) for name, size in (("wide", WIDE), ("narrow", NARROW))}


def _figure(curves: Sequence[Curve], size: tuple[float, float], name: str, label: str) -> Markup:
    from matplotlib.figure import Figure

    with figure_style():
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        for curve in curves:
            _draw(axes, curve)
        axes.set(xlabel="radius", ylabel="share of images", ylim=(-0.03, 1.03))
        return inline_svg(figure, name, label)


def _draw(axes: Axes, curve: Curve) -> None:
    rows, options = curve.rows, curve.stroke.options()
    if curve.steps is not None:
        axes.step(*curve.steps, where="post", color=STAND_INS[curve.stroke.color], linewidth=1, linestyle=options["linestyle"])
        options["linestyle"] = "none"
    spread = np.vstack([rows["accuracy"] - rows["low"], rows["high"] - rows["accuracy"]])
    axes.errorbar(rows["eps"], rows["accuracy"], yerr=spread, capsize=2.5, elinewidth=1, **options)
