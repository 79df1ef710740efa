"""Leakage's figure: the share of top-ranked features outside the signal, every attribution a row, every classifier a mark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from gradaudit.report.inline_svg import figure_style, inline_svg
from gradaudit.report.strokes import STAND_INS, Stroke
from gradaudit.report.tables import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTHS = {"wide": 7.4, "narrow": 4.1}  # inches at 72 points, as they are shown
CHANCE, HALF = Stroke("ink"), Stroke("soft", (1, 2))


@dataclass(frozen=True)
class Point:
    """One mark: its row in the figure, whose it is, its look, and its share with the interval's ends."""

    row: str
    owner: str
    stroke: Stroke
    value: float
    low: float
    high: float

    def words(self) -> str:
        """The mark for those who can't see it."""
        return f"{self.owner}, {self.row}: {percent(round(self.value, 4))}"


def leakage_figures(points: Sequence[Point], chances: Sequence[float]) -> dict[str, Markup]:
    """Shares outside the signal with 95 % intervals, chance and half of it marked; for `wide` and for `narrow` screens."""
    label = "Share of the top-ranked features outside the signal. " + "; ".join(point.words() for point in points)
    label += "; chance: " + " and ".join(percent(round(chance, 4)) for chance in chances)
    return {name: _figure(points, chances, width, f"leakage-{name}", label) for name, width in WIDTHS.items()}


def _figure(points: Sequence[Point], chances: Sequence[float], width: float, name: str, label: str) -> Markup:
    from matplotlib.figure import Figure

    rows = list(dict.fromkeys(point.row for point in points))
    with figure_style():
        figure = Figure(figsize=(width, 0.8 + 0.62 * len(rows)), layout="constrained")
        axes = figure.subplots()
        for chance in chances:
            for place, stroke in ((chance, CHANCE), (chance / 2, HALF)):
                axes.axvline(place, **(stroke.options() | {"linewidth": 1}))
        for place, row in enumerate(rows):
            _draw_row(axes, place, [point for point in points if point.row == row])
        axes.set(xlabel="share outside the signal", xlim=(-0.02, 1.02), ylim=(len(rows) - 0.4, -0.75))
        axes.set_yticks([])
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        return inline_svg(figure, name, label)


def _draw_row(axes: Axes, place: int, points: Sequence[Point]) -> None:
    """The row's name above its marks, which are moved apart a little."""
    axes.text(0, place - 0.42, points[0].row, color=STAND_INS["soft"], va="center", parse_math=False)
    step = 0.4 / max(len(points), 3)
    for turn, point in enumerate(points):
        height = place + (turn - (len(points) - 1) / 2) * step + 0.05
        spread = [[point.value - point.low], [point.high - point.value]]
        bars = spread if point.low == point.low else None
        options = point.stroke.options() | {"linestyle": "none"}
        axes.errorbar([point.value], [height], xerr=bars, capsize=2.5, elinewidth=1, **options)
