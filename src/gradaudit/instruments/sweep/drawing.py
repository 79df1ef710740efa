"""The two figures of a sweep: panels along each family, and the map of all classifiers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from gradaudit.instruments.sweep.measured_classifier import NONE
from gradaudit.instruments.sweep.regimes import ALIGNED, EXCESSIVE, INVERTED, UNCERTAIN, WEAK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = {WEAK: "v", ALIGNED: "o", EXCESSIVE: "^", INVERTED: "D", UNCERTAIN: "X"}


class Swept(Protocol):
    """What the figures need of a sweep; `SweepResult` is such, and says what each part holds."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that decided the numbers."""

    @property
    def families(self) -> tuple[str, ...]:
        """The families' names."""

    @property
    def regimes(self) -> pd.DataFrame:
        """The regime of each classifier, with its `family` and `strength`."""

    def rows(self, measure: str, parameter: float | None = None) -> pd.DataFrame:
        """The table's rows of a measure at a parameter, one a classifier."""


@dataclass(frozen=True)
class Colours:
    """What a figure is drawn with.

    Args:
        ink: of what stands out.
        soft: of what is beside it, such as controls.
        series: of families and of curves.
        regimes: of the regimes' shades; one that is absent is not shaded.
    """

    ink: str
    soft: str
    series: tuple[str, ...]
    regimes: Mapping[str, str]


PLAIN = Colours(
    "black", "0.45", tuple(f"C{place}" for place in range(10)), {WEAK: "C7", ALIGNED: "C2", EXCESSIVE: "C1", INVERTED: "C4"}
)


@dataclass(frozen=True)
class Line:
    """A measure in a panel: its row, the table's name and parameter, words for the key, colour and style."""

    row: int
    measure: str
    parameter: float | None
    label: str
    color: str
    style: str


def draw_panels(result: Swept, figure: Figure, colours: Colours, *, columns: int) -> None:
    """Three panels a family, one above the other: accuracies, alignment, and the changes on and off the manifold.

    Args:
        result: the sweep.
        figure: empty.
        colours: what to draw with.
        columns: families side by side.
    """
    names = result.families
    blocks = -(-len(names) // columns)
    panels = figure.subplots(3 * blocks, columns, squeeze=False, sharey=False)
    lines = _lines(result, colours)
    for place in range(columns * blocks):
        own = panels[3 * (place // columns) : 3 * (place // columns) + 3, place % columns]
        if place >= len(names):
            for axes in own:
                axes.set_axis_off()
            continue
        for row, axes in enumerate(own):
            _shade(axes, result.regimes[result.regimes["family"] == names[place]], colours, named=row == 0)
            for line in lines:
                if line.row == row:
                    _curve(axes, result, names[place], line, colours)
            axes.set(xscale="log", xlim=_edges(_strengths(result, names[place]))[[0, -1]])
        _label(own, names[place], first=place % columns == 0)
    _share_limits(panels, result)
    found = {label: line for axes in panels[:3, 0] for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend([*found.values()], [*found], loc="outside lower center", ncols=min(columns, 3), fontsize="small")


def draw_map(result: Swept, figure: Figure, colours: Colours) -> None:
    """Relative off-manifold robustness against alignment: a colour a family, larger marks for larger strengths, a mark a regime."""
    axes = figure.subplots()
    points = map_points(result)
    for place, family in enumerate(result.families):
        color = colours.series[place % len(colours.series)]
        own = points[points["family"] == family]
        whole = pd.concat([points[points["family"] == NONE], own])
        axes.plot(whole["x"], whole["y"], color=color, linewidth=0.7, alpha=0.5)
        axes.plot([], [], color=color, marker="s", linestyle="none", label=family)
        for size, row in zip(np.linspace(4, 10, len(own)), own.to_dict("records"), strict=True):
            _point(axes, row, color, MARKS[row["regime"]], float(size))
    for row in points[points["family"] == NONE].to_dict("records"):
        _point(axes, row, colours.ink, "*", 13)
    axes.plot([], [], color=colours.ink, marker="*", markersize=9, linestyle="none", label="unregularised")
    for regime in dict.fromkeys(points["regime"]):
        axes.plot([], [], color=colours.soft, marker=MARKS[regime], linestyle="none", label=regime)
    axes.axhline(0, color=colours.soft, linewidth=0.7)
    axes.axvline(1, color=colours.soft, linewidth=0.7)
    alike = f"alignment ({result.settings['similarity']}, sigma {result.settings['sigma'][0]:g})"
    axes.set(xlabel="change on the manifold / change off it", ylabel=alike)
    _logarithmic_where_wide(axes, points["x"])
    wide = figure.get_figwidth() > 5
    figure.legend(loc="outside right upper" if wide else "outside lower center", fontsize="small", ncols=1 if wide else 2)


def map_points(result: Swept) -> pd.DataFrame:
    """A row a classifier that has a place on the map: `x` and `y` with their intervals, `family`, `strength`, `regime`."""
    across, up = result.rows("off_manifold_robustness"), result.rows("alignment", result.settings["sigma"][0])
    found = {axis + end: list(rows[column]) for axis, rows in (("x", across), ("y", up)) for end, column in _ENDS.items()}
    points = pd.DataFrame({**{name: list(result.regimes[name]) for name in ("family", "strength", "regime")}, **found})
    return points[[bool(low > 0 and high < np.inf) for low, high in zip(points["x_low"], points["x_high"], strict=True)]]


_ENDS = {"": "value", "_low": "low", "_high": "high"}


def _point(axes: Axes, row: Mapping[Any, Any], color: str, mark: str, size: float) -> None:
    across, up = ([[max(0.0, row[a] - row[f"{a}_low"])], [max(0.0, row[f"{a}_high"] - row[a])]] for a in ("x", "y"))
    axes.errorbar(
        row["x"],
        row["y"],
        xerr=across,
        yerr=up,
        color=color,
        marker=mark,
        markersize=size,
        elinewidth=0.5,
        markeredgewidth=0,
        alpha=0.85,
    )


def _lines(result: Swept, colours: Colours) -> list[Line]:
    settings = result.settings
    sigma, radius, series = settings["sigma"][0], settings["reference_radius"], colours.series
    attacked = [
        Line(0, "pgd", eps, f"accuracy under PGD, {settings['norm']} {eps:g}", series[place % len(series)], "-")
        for place, eps in enumerate(settings["eps"])
    ]
    return [
        Line(0, "accuracy", None, "accuracy", colours.ink, "-"),
        *attacked,
        Line(1, "alignment", sigma, f"alignment, {settings['similarity']} at sigma {sigma:g}", colours.ink, "-"),
        Line(1, "alignment_control", sigma, "the same with gradients of other images", colours.soft, ":"),
        Line(2, "change_on", radius, f"change on the manifold, length {radius:g}", series[0], "-"),
        Line(2, "change_off", radius, f"change off the manifold, length {radius:g}", series[1], "--"),
    ]


def _curve(axes: Axes, result: Swept, family: str, line: Line, colours: Colours) -> None:
    rows = result.rows(line.measure, line.parameter)
    own, base = rows[rows["family"] == family], rows[rows["family"] == NONE]["value"].iloc[0]
    axes.plot(
        own["strength"], own["value"], line.style, color=line.color, marker="o", markersize=3, label=line.label, linewidth=1.2
    )
    axes.fill_between(own["strength"], own["low"], own["high"], color=line.color, alpha=0.15, linewidth=0)
    axes.axhline(base, xmax=0.05, color=line.color, linestyle=line.style, linewidth=2)  # what no regularisation gives


def _shade(axes: Axes, regimes: pd.DataFrame, colours: Colours, *, named: bool) -> None:
    for regime, left, right in _spans(regimes):
        if regime in colours.regimes:
            axes.axvspan(left, right, color=colours.regimes[regime], alpha=0.16, linewidth=0)
        if named:
            middle = float(np.sqrt(left * right))
            axes.text(middle, 1.02, regime, transform=axes.get_xaxis_transform(), ha="left", va="bottom", fontsize=7, rotation=30)


def _spans(regimes: pd.DataFrame) -> Iterator[tuple[str, float, float]]:
    """Neighbours of one regime, with the strengths between which they lie."""
    edges = _edges(regimes["strength"].to_numpy(dtype=float))
    names = [*regimes["regime"]]
    start = 0
    for place in range(1, len(names) + 1):
        if place == len(names) or names[place] != names[start]:
            yield names[start], float(edges[start]), float(edges[place])
            start = place


def _edges(strengths: np.ndarray) -> np.ndarray:
    """Half-way, on a log axis, between neighbours, and as far beyond the first and the last."""
    logs = np.log(strengths)
    halves = np.diff(logs) / 2 if len(logs) > 1 else np.array([0.5])
    edges: np.ndarray = np.exp(np.concatenate([logs[:1] - halves[0], logs[1:] - halves[: len(logs) - 1], logs[-1:] + halves[-1]]))
    return edges


def _strengths(result: Swept, family: str) -> np.ndarray:
    return np.array(result.settings["families"][family], dtype=float)


def _label(panels: np.ndarray, family: str, *, first: bool) -> None:
    panels[0].set_title(family, pad=34)
    panels[-1].set_xlabel("strength")
    if first:
        for axes, words in zip(panels, ("share of test images", "alignment", "change of the softmax"), strict=True):
            axes.set_ylabel(words)


def _logarithmic_where_wide(axes: Axes, values: pd.Series) -> None:
    """A log axis with plain numbers, where the values span enough of it for ticks."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    if len(values) and values.max() > 5 * values.min():
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())


def _share_limits(panels: np.ndarray, result: Swept) -> None:
    """The same limits in all panels of a measure, so that families compare."""
    for row in range(3):
        shown = [axes for axes in panels[row::3].flat if axes.axison]
        lows, highs = zip(*(axes.get_ylim() for axes in shown), strict=True)
        limits = (0.0, 1.02) if row == 0 else (min(lows), max(highs)) if row == 1 else (0.0, max(highs))
        for axes in shown:
            axes.set_ylim(limits)
