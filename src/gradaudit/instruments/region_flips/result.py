"""The result of flips by region: its tables, what was said of every image, its figure."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from gradaudit.errors import require
from gradaudit.files import writable_folder, write_text
from gradaudit.intervals import Interval, mean_interval, paired_interval, share_interval
from gradaudit.lettering import legible
from gradaudit.packing import unpack
from gradaudit.results import Audited, Result, table_to_csv

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDES = ("top", "bottom")
RIVAL = "random"
FLIPPED, CONFIRMED = "flipped", "confirmed"
COLUMNS = (
    *("attribution", "level", "measure", "top", "bottom", "difference", "low", "high"),
    *("lead", "lead_low", "lead_high"),
)
NONE = (float("nan"),) * 3


@dataclass(frozen=True, eq=False)
class RegionFlipsResult(Audited, Result):
    """What `region_flips` returns.

    `table` has a row for each attribution (controls included), level and `measure`. `flipped` is the share of images that the
    classifier gives the class wanted after the change, and `confirmed` the share that it does and every independent oracle too, of
    all images; with several oracles there is `confirmed by <oracle>` as well. Without an oracle there is `flipped` alone. `top` and
    `bottom` are these shares where only the top-ranked or the bottom-ranked `level` of the pixels may change; `difference` is the
    first less the second, with `low` and `high`, a 95 % interval over images, which are paired (Agresti and Min, 2005); `lead` the
    difference less that of the control `random` on the same images, with a 95 % t interval, NaN without that control. Each interval
    is of its own row alone.
    """

    kind: ClassVar[str] = "region_flips"

    @property
    def level(self) -> float:
        """The share of pixels that the verdict is about."""
        return deciding(self.settings["levels"])

    @property
    def oracles(self) -> tuple[str, ...]:
        """The classifiers that were asked to confirm flips."""
        return tuple(self.settings["oracles"])

    @property
    def measures(self) -> tuple[str, ...]:
        """What was counted, `confirmed` last where there is an independent oracle."""
        return tuple(measures_of(self.details))

    @property
    def whole(self) -> pd.DataFrame:
        """The same shares where all of an image may change: `measure`, `value`, `low` and `high` (Clopper and Pearson)."""
        found = measures_of(self.details)
        rows = [(measure, *share_interval(hits(self.details["whole"], oracles))) for measure, oracles in found.items()]
        return pd.DataFrame(rows, columns=["measure", "value", "low", "high"])

    def rows(self, measure: str | None = None) -> pd.DataFrame:
        """The table's rows of one measure; of `confirmed`, or of flips where there is no independent oracle, unless given."""
        return self.table[self.table["measure"] == (self.measures[-1] if measure is None else measure)]

    def per_image(self, attribution: str) -> pd.DataFrame:
        """A row for each image: its `target`, and for each level and measure `<measure>_top_<level>`, `<measure>_bottom_<level>`.

        Raises:
            InputError: an attribution that was not measured.
        """
        known: Mapping[str, Any] = self.details["read"]
        require(attribution in known, "attribution", attribution, f"one of {', '.join(known)}")
        found = {"target": unpack(self.details["targets"])}
        for measure, oracles in measures_of(self.details).items():
            for level, sides in zip(self.settings["levels"], hits(known[attribution], oracles), strict=True):
                found |= {f"{measure}_{side}_{level:g}": one for side, one in zip(SIDES, sides, strict=True)}
        return pd.DataFrame(found)

    def mean(self, attribution: str) -> Interval:
        """The difference in confirmed flips (in flips without an independent oracle), the mean over levels, with its interval."""
        oracles = measures_of(self.details)[self.measures[-1]]
        top, bottom = hits(self.details["read"][attribution], oracles).astype(float).mean(axis=0)
        return mean_interval(top - bottom, -1.0, 1.0)

    def plot(self) -> Figure:
        """The difference in confirmed flips against level, with 95 % intervals; controls in grey."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.subplots()
        axes.axhline(0, color="0.3", linewidth=0.8)
        rows = self.rows()
        for place, name in enumerate((*self.audited, *self.controls)):
            own = rows[rows["attribution"] == name]
            spread = np.vstack([own["difference"] - own["low"], own["high"] - own["difference"]])
            control = name in self.controls
            style: dict[str, Any] = {"color": "0.6", "linestyle": ":"} if control else {"color": f"C{place}"}
            style |= {"marker": "os^Dv"[place % 5], "markersize": 5, "capsize": 2, "label": name + " (control)" * control}
            axes.errorbar(100 * own["level"], own["difference"], yerr=spread, **style)
        axes.set(xlabel="pixels that may change, %", ylabel=f"{self.measures[-1]}, top - bottom", title="Flips by region")
        axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
        return legible(figure, self.settings.get("classes", ()))

    def write_files(self, folder: str | os.PathLike[str]) -> list[Path]:
        """As `save`, and the shares where all of an image may change; return the files."""
        written = write_text(writable_folder("folder", folder) / "whole.csv", table_to_csv(self.whole))
        return [*super().write_files(folder), written]


def deciding(levels: list[float]) -> float:
    """The middle level, the lower of two."""
    return levels[(len(levels) - 1) // 2]


def independent(details: Mapping[str, Any]) -> list[str]:
    """The oracles that did not guide the change."""
    return [name for name, one in details["oracles"].items() if not one["helper"]]


def measures_of(details: Mapping[str, Any]) -> dict[str, list[str]]:
    """What is counted: the oracles that must confirm a flip, by the measure's name."""
    judges = independent(details)
    each = {f"{CONFIRMED} by {name}": [name] for name in details["oracles"]} if len(details["oracles"]) > 1 else {}
    return {FLIPPED: [], **each, **({CONFIRMED: judges} if judges else {})}


def hits(read: Mapping[str, Any], oracles: list[str]) -> np.ndarray:
    """Where images were flipped and all of these oracles confirm it."""
    found: np.ndarray = np.logical_and.reduce([unpack(read["flipped"]), *(unpack(read["confirmed"][name]) for name in oracles)])
    return found


def lead_over(details: Mapping[str, Any], name: str, other: str, oracles: list[str], place: int) -> Interval:
    """The difference of one map less that of another on the same images, at the level of that place, with its interval."""
    own, rival = (hits(details["read"][one], oracles)[place].astype(float) for one in (name, other))
    return mean_interval((own[0] - own[1]) - (rival[0] - rival[1]), -2.0, 2.0)


def tabulate(details: Mapping[str, Any], settings: Mapping[str, Any]) -> pd.DataFrame:
    """The table, from what was said of every image."""
    rows = [
        (name, level, measure, *_compared(details, settings, name, oracles, place))
        for name in (*settings["attributions"], *settings["controls"])
        for place, level in enumerate(settings["levels"])
        for measure, oracles in measures_of(details).items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _compared(
    details: Mapping[str, Any], settings: Mapping[str, Any], name: str, oracles: list[str], place: int
) -> Iterator[float]:
    top, bottom = hits(details["read"][name], oracles)[place]
    yield from (float(top.mean()), float(bottom.mean()), *paired_interval(top, bottom))
    ahead = RIVAL in settings["controls"] and name != RIVAL
    yield from lead_over(details, name, RIVAL, oracles, place) if ahead else NONE
