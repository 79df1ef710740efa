"""Sensitivity's result: its table, the ratio of signal to rest, its verdict, its figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from gradaudit.instruments.leakage.statistics import ratio_interval
from gradaudit.intervals import mean_interval
from gradaudit.lettering import legible
from gradaudit.packing import unpack
from gradaudit.results import Result, Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PARTS = ("signal", "null")
COLUMNS = ("part", "std", "change", "low", "high")
MOST = 2.0  # the L1 distance of two distributions
UNEVEN = 1.1  # times as large, beyond which the parts' areas count


@dataclass(frozen=True, eq=False)
class SensitivityResult(Result):
    """What `sensitivity` returns.

    `table` has a row for each part and standard deviation, with the columns `part` (`signal`: noise on the signal alone, `null`: on
    the rest alone), `std`, `change` (the L1 distance between the softmax outputs with and without noise, in [0, 2], mean over
    images and draws) and `low` and `high` (its 95 % t interval over images).
    """

    kind: ClassVar[str] = "sensitivity"

    def ratio(self) -> pd.DataFrame:
        """For each `std` the `ratio` of the mean change by noise on the signal to that by noise on the rest, `low` and `high`.

        The interval, 95 %, is over images, by the delta method on the ratio's logarithm. Both parts see the same images and draws.
        """
        return pd.DataFrame(ratios(self.details, self.settings), columns=["std", "ratio", "low", "high"])

    def plot(self) -> Figure:
        """Change of the output against noise for both parts, and their ratio, with 95 % intervals."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8.4, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        for part, color in zip(PARTS, ("C0", "C3"), strict=True):
            label = "noise on the signal" if part == "signal" else "noise on the rest"
            _curve(left, self.table[self.table["part"] == part], "change", color=color, label=label)
        left.set(ylabel="change of the output (L1)", ylim=(-0.05, MOST + 0.05), title="Sensitivity")
        left.legend(fontsize="small")
        found = self.ratio()
        _curve(right, found[np.isfinite(found["ratio"]) & (found["ratio"] > 0)], "ratio", color="C2")
        right.axhline(1, color="0.3", linewidth=0.8)
        right.set(ylabel="signal / rest", yscale="log", title="Ratio")
        for formatted in (right.yaxis.set_major_formatter, right.yaxis.set_minor_formatter):
            formatted(lambda value, _: f"{value:.3g}")
        for axes in (left, right):
            axes.set_xscale("symlog" if 0 in self.settings["std"] else "log", **self._threshold())
            axes.set_xlabel("standard deviation of the noise")
        return legible(figure, self.settings.get("classes", ()))

    def _threshold(self) -> dict[str, float]:
        above = [std for std in self.settings["std"] if std > 0]
        return {"linthresh": min(above, default=1.0)} if 0 in self.settings["std"] else {}


def tabulate(details: Mapping[str, Any], settings: Mapping[str, Any]) -> pd.DataFrame:
    """The table, from every image's change."""
    changes = unpack(details["changes"])
    rows = [
        (part, std, *mean_interval(changes[place, level], 0.0, MOST))
        for place, part in enumerate(PARTS)
        for level, std in enumerate(settings["std"])
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def ratios(details: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[tuple[float, float, float, float]]:
    """Each standard deviation with the ratio and its interval's ends."""
    signal, null = unpack(details["changes"])
    for level, std in enumerate(settings["std"]):
        yield std, *ratio_interval(signal[level], null[level])


def judge(details: Mapping[str, Any], settings: Mapping[str, Any]) -> Verdict:
    """The verdict, at the middle of the standard deviations.

    `focused`: the ratio's interval lies above 1. `distracted`: below. `inconclusive`: 1 lies within, or there is no interval.
    """
    found = [*ratios(details, settings)]
    std, ratio, low, high = found[(len(found) - 1) // 2]
    signal, null = unpack(details["changes"]).mean(2)[:, settings["std"].index(std)]
    # A part that never changes the output has no interval, nor needs one.
    label = "focused" if low > 1 or null == 0 < signal else "distracted" if high < 1 or signal == 0 < null else "inconclusive"
    interval = f" (95 % interval {low:.3g} to {high:.3g})" if low == low else ""
    times = f": {ratio:.3g} times{interval}" if np.isfinite(ratio) else ""
    sentence = (
        f"noise of std {std:g} on the signal changes the output by {signal:.3g}, the same noise on the rest by {null:.3g}{times}"
    )
    return Verdict(label, sentence, tuple(_caveats(details, settings, max(signal, null))))


def _caveats(details: Mapping[str, Any], settings: Mapping[str, Any], change: float) -> Iterator[str]:
    area = details["signal_area"]
    if max(area, 1 - area) > UNEVEN * min(area, 1 - area):
        yield f"the signal covers {area:.1%} of the pixels: noise on the larger part is longer, and changes more for that alone"
    if change < 1e-3:
        yield "neither part changes the output to speak of at this noise: larger standard deviations say more"
    if settings["images"] < 2:
        yield "one image has no interval"


def _curve(axes: Axes, rows: pd.DataFrame, column: str, **style: Any) -> None:
    spread = np.vstack([rows[column] - rows["low"], rows["high"] - rows[column]])
    bars = None if np.isnan(spread).any() else spread
    axes.errorbar(rows["std"], rows[column], yerr=bars, marker="o", markersize=4, capsize=2, **style)
