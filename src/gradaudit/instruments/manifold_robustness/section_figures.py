"""Manifold robustness's figure: change of the softmax against the length of the noise, on and off the manifold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup

from gradaudit.markup.inline_svg import figure_style, inline_svg
from gradaudit.markup.strokes import Stroke

WIDE, NARROW = (7.4, 4.1), (4.1, 3.9)


@dataclass(frozen=True)
class Curve:
    """One curve: its name, its look and its rows of a result's table."""

    label: str
    stroke: Stroke
    rows: pd.DataFrame

    def words(self) -> str:
        """The curve for those who can't see it."""
        points = zip(self.rows["radius"], self.rows["change"], strict=True)
        return f"{self.label}: " + ", ".join(f"{change:.3g} at {radius:.3g}" for radius, change in points)


def manifold_robustness_figures(curves: Sequence[Curve]) -> dict[str, Markup]:
    """Change against length with 95 % intervals; drawn for `wide` and for `narrow` screens."""
    label = "Change of the softmax against the length of the noise. " + "; ".join(curve.words() for curve in curves)
    sizes = (("wide", WIDE), ("narrow", NARROW))
    return {name: _figure(curves, size, f"manifold-robustness-{name}", label) for name, size in sizes}


def _figure(curves: Sequence[Curve], size: tuple[float, float], name: str, label: str) -> Markup:
    from matplotlib.figure import Figure

    with figure_style():
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        for curve in curves:
            rows = curve.rows
            spread = np.vstack([rows["change"] - rows["low"], rows["high"] - rows["change"]])
            axes.errorbar(rows["radius"], rows["change"], yerr=spread, capsize=2.5, elinewidth=1, **curve.stroke.options())
        axes.set(xlabel="length of the noise", ylabel="change of the softmax (L1)")
        axes.set_ylim(bottom=0)
        return inline_svg(figure, name, label)
