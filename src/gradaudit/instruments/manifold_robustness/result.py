"""Manifold robustness's result: its table, the relative robustness, its figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd

from gradaudit.errors import require
from gradaudit.instruments.manifold_robustness.measure import DIRECTIONS
from gradaudit.instruments.manifold_robustness.statistics import change_interval, ratio_intervals
from gradaudit.lettering import legible
from gradaudit.results import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("direction", "radius", "change", "low", "high")


class Ratio(NamedTuple):
    """A relative off-manifold robustness with its 95 % interval: infinite where nothing changes off the manifold, NaN where nothing
    changes at all."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class ManifoldRobustnessResult(Result):
    """What `manifold_robustness` returns.

    `table` has a row for each direction (`on` and `off` the manifold) and `radius` (L2 length of the noise, in pixel values of
    [0, 1]): the mean `change` of the softmax in L1, from 0 to 2, and the 95 % t-interval over images, `low` to `high`. `ratio()`
    compares the two directions. `details` keeps every image's changes, and how much of the way to their neighbours the tangent
    spaces explain.
    """

    kind: ClassVar[str] = "manifold_robustness"

    def per_image(self) -> np.ndarray:
        """The changes of each image, float64 (2, R, N): on and off, at each radius."""
        return per_image(self.details)

    def ratio(self, radius: float | None = None) -> Ratio:
        """The **relative off-manifold robustness**: the change on the manifold over the change off it, at noise of one length.

        Above 1, the output changes less off the manifold than on it: the higher, the more robust off the manifold, relatively.
        Both changes are means over images; the interval is a percentile bootstrap over images, which keeps their pairing.
        Srinivas et al. (2023) call a classifier relatively off-manifold robust where this is above 1.

        Args:
            radius: one of those measured; None for the geometric mean over all.

        Raises:
            InputError: a radius that was not measured.
        """
        if radius is None:
            return ratios_of(self.details, self.settings)[-1]
        known: list[float] = self.settings["radius"]
        require(radius in known, "radius", radius, f"one of {', '.join(map(str, known))}, or None")
        return ratios_of(self.details, self.settings)[known.index(radius)]

    def ratios(self) -> pd.DataFrame:
        """`ratio` at each radius: a row each, with the columns `radius`, `ratio`, `low`, `high`."""
        found = ratios_of(self.details, self.settings)
        rows = [(radius, *ratio) for radius, ratio in zip(self.settings["radius"], found, strict=False)]  # the last is over all
        return pd.DataFrame(rows, columns=["radius", "ratio", "low", "high"])

    def plot(self) -> Figure:
        """The change of the softmax against the length of the noise, on and off the manifold, with 95 % intervals."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.subplots()
        for direction, style in zip(DIRECTIONS, ("-", "--"), strict=True):
            rows = self.table[self.table["direction"] == direction]
            spread = np.vstack([rows["change"] - rows["low"], rows["high"] - rows["change"]])
            label = f"{direction} the manifold"
            axes.errorbar(rows["radius"], rows["change"], yerr=spread, linestyle=style, marker="o", capsize=2, label=label)
        axes.set(xlabel="length of the noise (L2)", ylabel="change of the softmax (L1)", title="Robustness on and off the manifold")
        axes.set_ylim(bottom=0)
        axes.legend(fontsize="small")
        return legible(figure, self.settings.get("classes", ()))


def tabulate(details: Mapping[str, Any], settings: Mapping[str, Any]) -> pd.DataFrame:
    """The table."""
    rows = []
    for direction, changes in zip(DIRECTIONS, per_image(details), strict=True):
        for radius, values in zip(settings["radius"], changes, strict=True):
            rows.append((direction, radius, *change_interval(values)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def per_image(details: Mapping[str, Any]) -> np.ndarray:
    """The changes of each image, float64 (2, R, N)."""
    return np.array([details["changes"][direction] for direction in DIRECTIONS], dtype=float)


def ratios_of(details: Mapping[str, Any], settings: Mapping[str, Any]) -> list[Ratio]:
    """The relative off-manifold robustness at each radius, and last their geometric mean."""
    on, off = per_image(details)
    return [Ratio(*found) for found in ratio_intervals(on, off, settings["seed"])]
