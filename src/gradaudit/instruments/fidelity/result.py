"""Fidelity's result: its tables, what the classifier answered to every image, its figure."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from scipy import stats

from gradaudit.errors import require
from gradaudit.files import writable_folder, write_text
from gradaudit.instruments.fidelity.verdict import deciding
from gradaudit.intervals import Interval, mean_interval, paired_interval
from gradaudit.lettering import legible
from gradaudit.packing import unpack
from gradaudit.results import Audited, Result, table_to_csv

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDES = ("top", "bottom")
COLUMNS = (
    *("attribution", "level", "fill", "top", "bottom", "fidelity", "low", "high"),
    *("log_top", "log_bottom", "log_fidelity", "log_low", "log_high"),
)
ORDERS = ("least_relevant_first", "most_relevant_first")
"""What is removed first where the top-ranked features are kept, and where the bottom-ranked are: as `SIDES`."""
ORDER_COLUMNS = (
    *("attribution", "fill", "order", "accuracy", "accuracy_low", "accuracy_high"),
    *("probability", "probability_low", "probability_high"),
)
PATCH_COLUMNS = ("attribution", "fill", "spearman", "low", "high", "images", "left_out")
COMPARABLE = 3  # attributions, below which two orders of them say nothing


@dataclass(frozen=True, eq=False)
class FidelityResult(Audited, Result):
    """What `fidelity` returns.

    `table` has a row for each attribution (controls included), fill and level, with the columns `attribution`, `level`, `fill`;
    `top` and `bottom`, the shares of images that the classifier gives their target when only the top- or the bottom-ranked `level`
    of their features is left; `fidelity`, `top` less `bottom`, with `low` and `high`, a 95 % interval over images, which are paired
    (Agresti and Min, 2005); and `log_top`, `log_bottom`, `log_fidelity`, `log_low`, `log_high`, the same of the mean natural
    logarithm of the target's probability (t over images). Each interval is of its own row alone, not of all levels at once.
    """

    kind: ClassVar[str] = "fidelity"

    @property
    def fills(self) -> tuple[str, ...]:
        """What stood where features were removed; the verdict is about the first."""
        return tuple(self.settings["fills"])

    @property
    def level(self) -> float:
        """The share of features that the verdict is about."""
        return deciding(self.settings["levels"])

    @property
    def accuracy(self) -> float:
        """The share of the images, as they are, that the classifier gives their target."""
        return float(unpack(self.details["clean"]["right"]).mean())

    @property
    def orders(self) -> pd.DataFrame:
        """Accuracy and probability when features are removed in one order or the other, the mean over the levels that are left.

        A row for each attribution, fill and `order`: with `most_relevant_first`, the bottom-ranked features are left at each level,
        with `least_relevant_first` the top-ranked. `accuracy` is ROAD's measure (Rong et al., 2022). `probability`, the mean of
        p(target), is for the first the area under the deletion curve of Petsiuk, Das and Saenko (2018), for the second that under
        their insertion curve, over these levels. Each has a 95 % t interval over images. A good attribution is low in the first
        and high in the second.
        """
        rows = [row for name in self._names for fill in self.fills for row in self._orders(name, fill)]
        return pd.DataFrame(rows, columns=list(ORDER_COLUMNS))

    @property
    def order_agreement(self) -> pd.DataFrame:
        """For each fill `spearman`, Spearman's correlation between the two orders' rankings of the attributions, controls included.

        Rong et al. (2022), section 5: by one order the best attribution has the lowest accuracy, by the other the highest; a fill
        is consistent where both rank alike. NaN for fewer than three attributions, or where an order's accuracies are all the same.
        """
        rows = [(fill, _agreement(found), len(self._names)) for fill, found in self.orders.groupby("fill", sort=False)]
        return pd.DataFrame(rows, columns=["fill", "spearman", "attributions"])

    @property
    def single_patches(self) -> pd.DataFrame:
        """Whether the attribution's sums over patches foretell how much the target's logit drops when one alone is filled.

        A row for each attribution and fill: `spearman`, the mean over images of the rank correlation within an image, with a 95 % t
        interval, `low` and `high`; `images`, how many it is the mean of; and `left_out`, those whose sums or drops are all the
        same, for which there is none. No rows where `patches` was 0. Hesse, Schaub-Meyer and Roth (2024).
        """
        patched = self.details["patches"]
        rows = [(name, fill, *_patches(unpack(patched[fill][name]))) for name in self._names for fill in patched]
        return pd.DataFrame(rows, columns=list(PATCH_COLUMNS))

    @property
    def _names(self) -> tuple[str, ...]:
        return (*self.audited, *self.controls)

    def per_image(self, attribution: str, fill: str | None = None) -> pd.DataFrame:
        """A row for each image: its `target`, whether it is `right` as it is, and `log`, log p(target) there.

        For each level the same of what is left of it: `right_top_<level>`, `right_bottom_<level>`, `log_top_<level>`,
        `log_bottom_<level>`; and `spearman`, of single patches, where these were removed.

        Args:
            attribution: a name in the table.
            fill: likewise; the first unless given.

        Raises:
            InputError: an attribution or a fill that was not measured.
        """
        fill = self.fills[0] if fill is None else fill
        require(fill in self.fills, "fill", fill, f"one of {', '.join(self.fills)}")
        require(attribution in self._names, "attribution", attribution, f"one of {', '.join(self._names)}")
        clean, read = self.details["clean"], self.details["read"][fill][attribution]
        found = {"target": unpack(self.details["targets"]), **{name: unpack(clean[name]) for name in ("right", "log")}}
        for name in ("right", "log"):
            for level, sides in zip(self.settings["levels"], unpack(read[name]), strict=True):
                found |= {f"{name}_{side}_{level:g}": values for side, values in zip(SIDES, sides, strict=True)}
        if self.details["patches"]:
            found["spearman"] = unpack(self.details["patches"][fill][attribution])
        return pd.DataFrame(found)

    def rows(self, fill: str | None = None) -> pd.DataFrame:
        """The table's rows of one fill, the first unless given."""
        return self.table[self.table["fill"] == (self.fills[0] if fill is None else fill)]

    def mean(self, attribution: str) -> Interval:
        """Fidelity under the first fill, the mean over levels, and the ends of its 95 % t interval over images."""
        top, bottom = unpack(self.details["read"][self.fills[0]][attribution]["right"]).astype(float).mean(axis=0)
        return mean_interval(top - bottom, -1.0, 1.0)

    def plot(self) -> Figure:
        """Fidelity against level under the first fill, with 95 % intervals; controls in grey."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.subplots()
        axes.axhline(0, color="0.3", linewidth=0.8)
        rows = self.rows()
        for place, name in enumerate(self._names):
            own = rows[rows["attribution"] == name]
            spread = np.vstack([own["fidelity"] - own["low"], own["high"] - own["fidelity"]])
            control = name in self.controls
            style: dict[str, Any] = {"color": "0.6", "linestyle": ":"} if control else {"color": f"C{place}"}
            style |= {"marker": "os^Dv"[place % 5], "markersize": 5, "capsize": 2, "label": name + " (control)" * control}
            axes.errorbar(100 * own["level"], own["fidelity"], yerr=spread, **style)
        axes.set(xlabel=f"{self.settings['features']} left, %", ylabel="accuracy(top) - accuracy(bottom)", title="Fidelity")
        axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
        return legible(figure, self.settings.get("classes", ()))

    def write_files(self, folder: str | os.PathLike[str]) -> list[Path]:
        """As `save`, and the other tables; return the files."""
        target = writable_folder("folder", folder)
        others = {"orders": self.orders, "order_agreement": self.order_agreement, "single_patches": self.single_patches}
        written = [write_text(target / f"{name}.csv", table_to_csv(rows)) for name, rows in others.items() if len(rows)]
        return [*super().write_files(folder), *written]

    def _orders(self, name: str, fill: str) -> Iterator[tuple[Any, ...]]:
        read = self.details["read"][fill][name]
        right, chances = unpack(read["right"]).astype(float), np.exp(unpack(read["log"]).astype(float))
        for place, order in reversed([*enumerate(ORDERS)]):
            means = (one[:, place].mean(axis=0) for one in (right, chances))
            yield name, fill, order, *(end for one in means for end in mean_interval(one, 0.0, 1.0))


def tabulate(details: Mapping[str, Any], settings: Mapping[str, Any]) -> pd.DataFrame:
    """The table, from what the classifier answered to every image."""
    rows = [
        (name, level, fill, *_compared(details["read"][fill][name], place))
        for name in (*settings["attributions"], *settings["controls"])
        for fill in settings["fills"]
        for place, level in enumerate(settings["levels"])
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _compared(read: Mapping[str, Any], place: int) -> Iterator[float]:
    """The top, the bottom, and their difference with its interval: of accuracies, and of log probabilities."""
    top, bottom = unpack(read["right"])[place]
    yield from (float(top.mean()), float(bottom.mean()), *paired_interval(top, bottom))
    high, low = unpack(read["log"])[place].astype(float)
    yield from (float(high.mean()), float(low.mean()), *mean_interval(high - low))


def _agreement(orders: pd.DataFrame) -> float:
    by_order = {order: rows["accuracy"].to_numpy() for order, rows in orders.groupby("order")}
    kept, removed = (by_order[order] for order in ORDERS)
    if len(kept) < COMPARABLE or np.ptp(kept) == 0 or np.ptp(removed) == 0:
        return float("nan")
    return float(stats.spearmanr(kept, -removed).statistic)


def _patches(correlations: np.ndarray) -> tuple[float, float, float, int, int]:
    known = correlations[~np.isnan(correlations)]
    interval = mean_interval(known, -1.0, 1.0) if len(known) else (float("nan"),) * 3
    return *interval, len(known), len(correlations) - len(known)
