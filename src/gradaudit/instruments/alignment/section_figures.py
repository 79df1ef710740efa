"""Alignment's figure: value against sigma, every curve in one, a panel for each similarity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from markupsafe import Markup

from gradaudit.markup.inline_svg import figure_style, inline_svg
from gradaudit.markup.strokes import STAND_INS, Stroke
from gradaudit.markup.tables import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDE, NARROW = (7.4, 3.4), (4.1, 3.2)  # inches, the height of each panel
ASIDE = 0.5  # of the distance between two sigmas, over which the curves are spread so that none hides another


@dataclass(frozen=True)
class Curve:
    """One curve: its name, its look, and its rows of a result's table."""

    label: str
    stroke: Stroke
    rows: pd.DataFrame

    def words(self) -> str:
        """The curve for those who can't see it."""
        points = zip(self.rows["value"], self.rows["similarity"], self.rows["sigma"], strict=True)
        return f"{self.label}: " + ", ".join(f"{number(value).text} by {name} at {sigma:g}" for value, name, sigma in points)


def alignment_figures(curves: Sequence[Curve]) -> dict[str, Markup]:
    """Mean similarity against sigma with 95 % intervals; drawn for `wide` and for `narrow` screens."""
    label = "Similarity of gradients and scores against sigma. " + "; ".join(curve.words() for curve in curves)
    return {name: _figure(curves, size, f"alignment-{name}", label) for name, size in (("wide", WIDE), ("narrow", NARROW))}


def _figure(curves: Sequence[Curve], size: tuple[float, float], name: str, label: str) -> Markup:
    from matplotlib.figure import Figure

    rows = pd.concat([curve.rows for curve in curves])
    similarities = list(dict.fromkeys(rows["similarity"]))
    sigmas = sorted(set(rows["sigma"]))
    with figure_style():
        figure = Figure(figsize=(size[0], size[1] * len(similarities)), layout="constrained")
        for axes, similarity in zip(figure.subplots(len(similarities), squeeze=False)[:, 0], similarities, strict=True):
            axes.axhline(0, color=STAND_INS["ink"], linewidth=0.9)
            # Audited curves are drawn last, above the controls.
            for place, curve in reversed(list(enumerate(curves))):
                aside = ASIDE * ((place + 0.5) / len(curves) - 0.5)
                _draw(axes, curve.rows[curve.rows["similarity"] == similarity], curve.stroke, sigmas, aside)
            axes.set_xticks(range(len(sigmas)), labels=[f"{sigma:g}" for sigma in sigmas])
            axes.set(ylabel=similarity.replace("_", " "), xlim=(-0.5, len(sigmas) - 0.5))
            axes.grid(visible=False, axis="x")
        axes.set_xlabel("sigma of the score, in pixel values of [0, 1]")
        return inline_svg(figure, name, label)


def _draw(axes: Axes, rows: pd.DataFrame, stroke: Stroke, sigmas: Sequence[float], aside: float) -> None:
    spread = np.vstack([rows["value"] - rows["low"], rows["high"] - rows["value"]])
    places = [sigmas.index(sigma) + aside for sigma in rows["sigma"]]
    axes.errorbar(places, rows["value"], yerr=spread, capsize=2.5, elinewidth=1, **stroke.options())
