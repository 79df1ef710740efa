"""Figures of the counterfactuals: shares that were flipped and agreed with, and the diagnostics step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from markupsafe import Markup

from gradaudit.instruments.counterfactual.drawing import PANELS, is_share, quartiles, share_label
from gradaudit.markup.inline_svg import figure_style, inline_svg
from gradaudit.markup.strokes import STAND_INS, Stroke
from gradaudit.markup.tables import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDE, NARROW = 7.4, 4.1  # inches across
ASIDE = 0.6  # of the distance between two measures, over which the series are spread


@dataclass(frozen=True)
class Series:
    """A classifier's counterfactuals by one method: name, look, lines of the summary by measure, and diagnostics by name."""

    label: str
    stroke: Stroke
    summary: pd.DataFrame
    steps: Mapping[str, np.ndarray]

    def words(self) -> str:
        """The shares for those who can't see them."""
        found = self.summary.loc[[name for name in self.summary.index if is_share(name)], "value"].dropna()
        return f"{self.label}: " + ", ".join(
            f"{share_label(str(name))} {percent(round(value, 3))}" for name, value in found.items()
        )


def share_figures(series: Sequence[Series], anchor: str) -> dict[str, Markup]:
    """The shares of images that were flipped, and of these that each oracle agrees with, with 95 % intervals."""
    names = list(dict.fromkeys(name for one in series for name in one.summary.index if is_share(name)))
    label = "Shares of images with 95% intervals. " + "; ".join(one.words() for one in series)
    sizes = {name: (across, 1.0 + len(names) * (0.35 + 0.16 * len(series))) for name, across in _widths().items()}
    return {name: _shares(series, names, size, f"{anchor}-{name}", label) for name, size in sizes.items()}


def step_figures(series: Sequence[Series], anchor: str) -> dict[str, Markup]:
    """Each diagnostic against the step, the median over images with the middle half; empty where no method has any."""
    had = {name for one in series for name, values in one.steps.items() if np.isfinite(values).any()}
    panels = {panel: [name for name in names if name in had] for panel, names in PANELS.items()}
    panels = {panel: names for panel, names in panels.items() if names}
    if not panels:
        return {}
    label = f"Diagnostics step by step: {', '.join(panels)}; of {', '.join(one.label for one in series)}"
    across = {"wide": 2, "narrow": 1}
    return {name: _steps(series, panels, width, across[name], f"{anchor}-steps-{name}", label) for name, width in _widths().items()}


def _widths() -> dict[str, float]:
    return {"wide": WIDE, "narrow": NARROW}


def _shares(series: Sequence[Series], names: Sequence[str], size: tuple[float, float], name: str, label: str) -> Markup:
    from matplotlib.figure import Figure

    with figure_style():
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        axes.axvline(0.5, color=STAND_INS["soft"], linewidth=0.9, linestyle=":")
        for turn, one in enumerate(series):
            own = one.summary.reindex(list(names))
            spread = np.vstack([own["value"] - own["low"], own["high"] - own["value"]])
            places = np.arange(len(names)) + ASIDE * ((turn + 0.5) / len(series) - 0.5)
            options = one.stroke.options() | {"linestyle": "none"}
            axes.errorbar(own["value"], places, xerr=spread, capsize=2.5, elinewidth=1, **options)
        axes.set_yticks(range(len(names)), labels=[share_label(one) for one in names])
        axes.set(xlabel="share of images", xlim=(-0.02, 1.02), ylim=(len(names) - 0.5, -0.5))
        axes.grid(visible=False, axis="y")
        return inline_svg(figure, name, label)


def _steps(
    series: Sequence[Series], panels: Mapping[str, Sequence[str]], width: float, across: int, name: str, label: str
) -> Markup:
    from matplotlib.figure import Figure

    down = -(-len(panels) // across)
    with figure_style():
        figure = Figure(figsize=(width, 2.5 * down), layout="constrained")
        grid = figure.subplots(down, across, squeeze=False).ravel()
        for axes, (panel, names) in zip(grid, panels.items(), strict=False):
            for one in series:
                for diagnostic in names:
                    _curve(axes, one, diagnostic, PANELS[panel][diagnostic])
            axes.set(xlabel="step", ylabel=panel)
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        return inline_svg(figure, name, label)


def _curve(axes: Axes, series: Series, name: str, line: str) -> None:
    values = series.steps.get(name)
    if values is None or not np.isfinite(values).any():
        return
    steps, (low, middle, high) = quartiles(values)
    options = series.stroke.options() | {"marker": None, "linestyle": line if line != "-" else series.stroke.options()["linestyle"]}
    axes.plot(steps, middle, **options)
    axes.fill_between(steps, low, high, color=options["color"], alpha=0.12, linewidth=0)
