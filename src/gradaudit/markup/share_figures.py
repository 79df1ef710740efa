"""Shares with their intervals: a row each of what was asked, a mark for each of whom; for leakage and for mask recovery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from gradaudit.markup.inline_svg import figure_style, inline_svg
from gradaudit.markup.strokes import STAND_INS, Stroke

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTHS = {"wide": 7.4, "narrow": 4.1}  # inches at 72 points, as they are shown
Rule = tuple[float, Stroke]
"""A vertical line across the figure: where, and its look."""


@dataclass(frozen=True)
class Point:
    """One mark: its row in the figure, whose it is, its look, and its share with the interval's ends."""

    row: str
    owner: str
    stroke: Stroke
    value: float
    low: float
    high: float


def key_of_points(points: Sequence[Point]) -> list[tuple[Stroke, str]]:
    """The marks of each owner and of its controls, with their words."""
    marks = {(point.owner, point.stroke.color == "control"): point.stroke for point in points}
    named = [(Stroke(one.color, mark=one.mark, hollow=one.hollow), owner, grey) for (owner, grey), one in marks.items()]
    return [(stroke, f"controls, {owner}" if grey else owner) for stroke, owner, grey in named]


def share_figures(points: Sequence[Point], rules: Sequence[Rule], *, name: str, xlabel: str, label: str) -> dict[str, Markup]:
    """Shares with 95 % intervals, and vertical lines; for `wide` and for `narrow` screens.

    Args:
        points: the marks.
        rules: the lines.
        name: what the figure's identities in the page begin with.
        xlabel: what the shares are.
        label: the figure in words, for those who can't see it.
    """
    return {screen: _figure(points, rules, width, f"{name}-{screen}", xlabel, label) for screen, width in WIDTHS.items()}


def _figure(points: Sequence[Point], rules: Sequence[Rule], width: float, name: str, xlabel: str, label: str) -> Markup:
    from matplotlib.figure import Figure

    rows = list(dict.fromkeys(point.row for point in points))
    with figure_style():
        figure = Figure(figsize=(width, 0.8 + 0.62 * len(rows)), layout="constrained")
        axes = figure.subplots()
        for place, stroke in rules:
            axes.axvline(place, **(stroke.options() | {"linewidth": 1}))
        for place, row in enumerate(rows):
            _draw_row(axes, place, [point for point in points if point.row == row])
        axes.set(xlabel=xlabel, xlim=(-0.02, 1.02), ylim=(len(rows) - 0.4, -0.75))
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
