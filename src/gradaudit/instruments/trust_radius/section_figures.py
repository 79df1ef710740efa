"""The trust radius's figure: the share of the margin's change that gradients explain, against sigma, every classifier in one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from markupsafe import Markup

from gradaudit.instruments.trust_radius.statistics import HALF
from gradaudit.markup.inline_svg import figure_style, inline_svg
from gradaudit.markup.strokes import STAND_INS, Stroke
from gradaudit.markup.tables import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZES = {"wide": (7.4, 3.8), "narrow": (4.1, 3.6)}  # inches at 72 points, as they are shown


@dataclass(frozen=True)
class Curve:
    """One curve: its name, its look, and its rows of a result's table."""

    label: str
    stroke: Stroke
    rows: pd.DataFrame

    def words(self) -> str:
        """The curve for those who can't see it."""
        points = zip(self.rows["sigma"], self.rows["explained"], strict=True)
        return f"{self.label}: " + ", ".join(f"{percent(round(share, 3))} at {sigma:g}" for sigma, share in points)


def trust_radius_figures(curves: Sequence[Curve]) -> dict[str, Markup]:
    """The explained share against sigma with 95 % intervals; drawn for `wide` and for `narrow` screens."""
    label = "Share of the margin's change that the gradient explains, against sigma. " + "; ".join(one.words() for one in curves)
    return {screen: _figure(curves, size, f"trust-radius-{screen}", label) for screen, size in SIZES.items()}


def _figure(curves: Sequence[Curve], size: tuple[float, float], name: str, label: str) -> Markup:
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    sigmas = sorted({sigma for curve in curves for sigma in curve.rows["sigma"]})
    with figure_style():
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        axes.axhline(HALF, color=STAND_INS["ink"], linewidth=0.9)
        for place, curve in enumerate(curves):
            _draw(axes, curve, 1.03 ** (place - (len(curves) - 1) / 2))
        axes.set(xscale="log", xlabel="sigma of the noise, in pixel values of [0, 1]", ylabel="explained share", ylim=(-0.03, 1.03))
        axes.set_xticks(sigmas, labels=[f"{sigma:g}" for sigma in sigmas])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.grid(visible=False, axis="x")
        return inline_svg(figure, name, label)


def _draw(axes: Axes, curve: Curve, aside: float) -> None:
    rows = curve.rows
    spread = np.vstack([rows["explained"] - rows["explained_low"], rows["explained_high"] - rows["explained"]])
    bars = None if np.isnan(spread).any() else spread
    axes.errorbar(rows["sigma"] * aside, rows["explained"], yerr=bars, capsize=2.5, elinewidth=1, **curve.stroke.options())
