"""Contrast's result: its table, what was measured of every image, its figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from gradaudit.errors import require
from gradaudit.intervals import mean_interval
from gradaudit.lettering import legible
from gradaudit.packing import unpack
from gradaudit.results import Audited, Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("attribution", "measure", "value", "low", "high")
MEASURES = ("magnitudes", "signed")
OTHER = "another image's contrast"


@dataclass(frozen=True, eq=False)
class ContrastResult(Audited, Result):
    """What `contrast` returns.

    `table` has a row for each attribution (controls included) and measure: `attribution`, `measure`, `value` (the mean over
    images), `low` and `high` (its 95 % t interval over images). `magnitudes` is the cosine of the magnitudes of map and contrast,
    from 0 to 1; `signed` their cosine, signs included. The last rows, `another image's contrast`, are the first attribution's maps
    beside the contrasts of other images of the same class: what there is by chance.
    """

    kind: ClassVar[str] = "contrast"

    @property
    def voted(self) -> float:
        """The share of images whose nearest training images, by majority, are of their class."""
        return float(self.details["voted"])

    def rows(self, measure: str = "magnitudes") -> pd.DataFrame:
        """The table's rows of one measure, by attribution."""
        return self.table[self.table["measure"] == measure].set_index("attribution")

    def per_image(self, attribution: str) -> pd.DataFrame:
        """A row for each image: its `target`, `magnitudes` and `signed`.

        Raises:
            InputError: an attribution that was not measured.
        """
        known: Mapping[str, Any] = self.details["per_image"]
        require(attribution in known, "attribution", attribution, f"one of {', '.join(known)}")
        found = {measure: unpack(one) for measure, one in known[attribution].items()}
        return pd.DataFrame({"target": unpack(self.details["targets"]), **found})

    def plot(self) -> Figure:
        """The cosine of magnitudes of each attribution and control, with intervals; chance marked."""
        from matplotlib.figure import Figure

        rows = self.rows()
        names = (*self.audited, *self.controls)
        figure = Figure(figsize=(6.4, 1.4 + 0.4 * len(names)), layout="constrained")
        axes = figure.subplots()
        axes.axvline(float(rows["value"][OTHER]), color="0.3", linewidth=1, label=OTHER)
        own = rows.loc[list(names)]
        spread = np.vstack([own["value"] - own["low"], own["high"] - own["value"]])
        axes.errorbar(own["value"], range(len(names)), xerr=spread, linestyle="none", marker="o", capsize=2)
        labels = [f"{name} (control)" if name in self.controls else name for name in names]
        axes.set_yticks(range(len(names)), labels=labels)
        xlabel = "cosine of the magnitudes of map and contrast"
        axes.set(xlabel=xlabel, xlim=(-0.02, 1.02), ylim=(len(names) - 0.4, -0.6), title="Contrast")
        axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
        return legible(figure, self.settings.get("classes", ()))


def tabulate(details: Mapping[str, Any], settings: Mapping[str, Any]) -> pd.DataFrame:
    """The table, from what was measured of every image."""
    found = {**details["per_image"], OTHER: details[OTHER]}
    rows = [
        (name, measure, *mean_interval(unpack(packed), 0.0 if measure == "magnitudes" else -1.0, 1.0))
        for name, measured in found.items()
        for measure, packed in measured.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
