"""Leakage's result: its table, what was measured of every image, its figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from gradaudit.errors import require
from gradaudit.instruments.leakage.measures import null_top
from gradaudit.instruments.leakage.verdict import deciding
from gradaudit.intervals import mean_interval, share_interval
from gradaudit.lettering import legible
from gradaudit.packing import unpack
from gradaudit.results import Audited, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ("attribution", "measure", "value", "low", "high", "chance")


@dataclass(frozen=True, eq=False)
class LeakageResult(Audited, Result):
    """What `leakage` returns.

    `table` has a row for each attribution (controls included) and measure, with the columns `attribution`, `measure`, `value` (the
    mean over images), `low` and `high` (its 95 % interval over images: Clopper-Pearson for `pointing`, t for the others) and
    `chance` (what a ranking at random gives). The measures:

    - `null_mass`: the share of the magnitude that lies outside the signal mask; of a map of zeros, the share of the area.
    - `null_top_<level>`: the share of the top-ranked features that lies outside.
    - `pointing`: the share of images whose highest-ranked feature lies inside (Zhang et al., 2016, the pointing game).
    - `quality_1`: `pointing` less the share of images whose lowest-ranked feature lies inside (Shah, Jain and Netrapalli, 2021,
      attribution quality at one coordinate), in [-1, 1].
    - `auroc`: of magnitude as a score for lying inside, of each image, ties half.

    `details` keeps what was measured of every image, which `per_image` and `signal_rank` read.
    """

    kind: ClassVar[str] = "leakage"

    @property
    def accuracy(self) -> float:
        """The share of these images that the classifier gives their label."""
        return float(self.details["accuracy"])

    @property
    def level(self) -> float:
        """The share of top-ranked features that the verdict is about."""
        return deciding(self.settings["top"])

    @property
    def deciding_measure(self) -> str:
        """The measure that the verdict is about."""
        return null_top(self.level)

    def per_image(self, attribution: str) -> pd.DataFrame:
        """A row for each image: its `label` and the measures, `pointing` and `quality_1` as 1, 0 or -1.

        Raises:
            InputError: an attribution that was not measured.
        """
        found = self._measured(attribution)
        return pd.DataFrame({"label": unpack(self.details["labels"]), **dict(image_measures(found, self.settings["top"]))})

    def signal_rank(self, attribution: str) -> pd.DataFrame:
        """How the rank of the signal's highest feature is distributed: a row for each `rank` that occurs, 1 for the highest of all.

        Beside it `images`, their number, and `share`, theirs of all images.

        Raises:
            InputError: an attribution that was not measured.
        """
        ranks, images = np.unique(unpack(self._measured(attribution)["signal_rank"]), return_counts=True)
        return pd.DataFrame({"rank": ranks, "images": images, "share": images / images.sum()})

    def rows(self, measure: str) -> pd.DataFrame:
        """The table's rows of one measure, by attribution."""
        return self.table[self.table["measure"] == measure].set_index("attribution")

    def plot(self) -> Figure:
        """The share of top-ranked features outside the signal, by attribution and level, with intervals; chance marked."""
        from matplotlib.figure import Figure

        names = (*self.audited, *self.controls)
        figure = Figure(figsize=(6.4, 1.4 + 0.5 * len(names)), layout="constrained")
        axes = figure.subplots()
        chance = float(self.table.loc[self.table["measure"] == "null_mass", "chance"].iloc[0])
        axes.axvline(chance, color="0.3", linewidth=1, label="chance")
        axes.axvline(chance / 2, color="0.6", linewidth=0.8, linestyle=":", label="half of chance")
        for turn, level in enumerate(self.settings["top"]):
            self._plot_level(axes, level, turn, names)
        labels = [f"{name} (control)" if name in self.controls else name for name in names]
        axes.set_yticks(range(len(names)), labels=labels)
        axes.set(xlabel="share outside the signal", xlim=(-0.02, 1.02), ylim=(len(names) - 0.4, -0.6), title="Leakage")
        axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
        return legible(figure, self.settings.get("classes", ()))

    def _plot_level(self, axes: Axes, level: float, turn: int, names: tuple[str, ...]) -> None:
        levels = self.settings["top"]
        rows = self.rows(null_top(level)).loc[list(names)]
        aside = (turn - (len(levels) - 1) / 2) * min(0.18, 0.6 / len(levels))
        spread = np.vstack([rows["value"] - rows["low"], rows["high"] - rows["value"]])
        bars = None if np.isnan(spread).any() else spread
        shade = 0.35 + 0.65 * (turn + 1) / len(levels)
        style: dict[str, Any] = {"linestyle": "none", "marker": "os^Dv"[turn % 5], "markersize": 5, "capsize": 2}
        places = np.arange(len(names)) + aside
        axes.errorbar(rows["value"], places, xerr=bars, color="C0", alpha=shade, label=f"top {100 * level:.4g} %", **style)

    def _measured(self, attribution: str) -> Mapping[str, Any]:
        known: Mapping[str, Any] = self.details["per_image"]
        require(attribution in known, "attribution", attribution, f"one of {', '.join(known)}")
        found: Mapping[str, Any] = known[attribution]
        return found


def tabulate(details: Mapping[str, Any], settings: Mapping[str, Any]) -> pd.DataFrame:
    """The table, from what was measured of every image."""
    area = float(unpack(details["signal_area"]).mean())
    chances = {"pointing": area, "auroc": 0.5, "quality_1": 0.0}
    rows = [
        (name, measure, *_interval(measure, values), chances.get(measure, 1 - area))
        for name, found in details["per_image"].items()
        for measure, values in image_measures(found, settings["top"])
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def image_measures(found: Mapping[str, Any], levels: list[float]) -> Iterator[tuple[str, np.ndarray]]:
    """Each measure of the table with its value for every image."""
    top, bottom = (unpack(found[name]).astype(np.int64) for name in ("top_hit", "bottom_hit"))
    yield "null_mass", unpack(found["null_mass"])
    for level in levels:
        yield null_top(level), unpack(found[null_top(level)])
    yield "pointing", top
    yield "quality_1", top - bottom
    yield "auroc", unpack(found["auroc"])


def _interval(measure: str, values: np.ndarray) -> tuple[float, float, float]:
    if measure == "pointing":
        return share_interval(values)
    return mean_interval(values, -1.0 if measure == "quality_1" else 0.0, 1.0)
