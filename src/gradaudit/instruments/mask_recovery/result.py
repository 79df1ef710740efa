"""Mask recovery's result: its table, its verdicts, its figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from gradaudit.instruments.mask_recovery.verdict import judge
from gradaudit.intervals import mean_interval
from gradaudit.lettering import legible
from gradaudit.results import Result, Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRUE_MASK = "true mask"  # no fill's name, which is a word or a call
COLUMNS = ("fill", "level", "side", "measure", "value", "low", "high", "hidden", "seen")
LIMITS = {"bits": (-np.inf, np.inf), "share": (-np.inf, 1.0)}  # of a measure's mean; of the others 0 and 1


@dataclass(frozen=True, eq=False)
class MaskRecoveryResult(Result):
    """What `mask_recovery` returns.

    `table` has a row for each fill, level, side and measure, with the columns `fill`, `level` (share of features kept), `side`
    (which), `measure`, `value` (mean over seeds), `low` and `high` (its 95 % t interval over seeds), `hidden` and `seen` (what the
    value would be if nothing, or all, of the mask were recovered). The measures, on test images:

    - `auroc`: of recovery, within each feature: how often of two images that differ there the one that kept it scores higher.
    - `bits`: recovered, for each feature: cross-entropy of the masks under the training masks' frequencies, less that under the
      recovering network. Below 0 where the network is surer than it should be.
    - `share`: these bits as a share of that cross-entropy.
    - `label`: the accuracy of a learner that sees only the recovered masks, as probabilities.

    `details["chance"]` is the share of the most frequent label, `details["doubts"]` what must be known of the classifier.
    """

    kind: ClassVar[str] = "mask_recovery"

    @property
    def fills(self) -> tuple[str, ...]:
        """The fills."""
        return tuple(self.settings["fills"])

    @cached_property
    def verdicts(self) -> dict[str, Verdict]:
        """The verdict of each fill."""
        return judge(self.table, self.details, self.settings)

    def rows(self, measure: str, level: float, side: str) -> pd.DataFrame:
        """The table's rows of one measure at one level and side, by fill."""
        chosen = (self.table["measure"] == measure) & (self.table["level"] == level) & (self.table["side"] == side)
        return self.table[chosen].set_index("fill")

    def plot(self) -> Figure:
        """The share of the mask that is recovered and the label's accuracy from it, by fill, level and side, with intervals."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9.2, 1.5 + 0.5 * len(self.fills)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        groups = [(level, side) for side in self.settings["sides"] for level in self.settings["levels"]]
        for turn, (level, side) in enumerate(groups):
            aside = (turn - (len(groups) - 1) / 2) * min(0.16, 0.7 / len(groups))
            for axes, measure in ((left, "share"), (right, "label")):
                self._plot_group(axes, measure, level, side, aside)
        right.axvline(self.details["chance"], color="0.6", linewidth=0.8, linestyle=":", label="chance")
        left.set(xlabel="share of the mask's entropy recovered", xlim=(-0.03, 1.03), title="Is the mask seen?")
        right.set(xlabel="accuracy of the label from it", xlim=(0, 1.02), title="What does it tell?")
        left.set_yticks(range(len(self.fills)), labels=self.fills)
        left.set_ylim(len(self.fills) - 0.4, -0.6)
        right.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
        return legible(figure, self.settings.get("classes", ()))

    def _plot_group(self, axes: Axes, measure: str, level: float, side: str, aside: float) -> None:
        rows = self.rows(measure, level, side).loc[list(self.fills)]
        spread = np.vstack([rows["value"] - rows["low"], rows["high"] - rows["value"]])
        bars = None if np.isnan(spread).any() else spread
        place = self.settings["levels"].index(level)
        color = {"top": "C0", "bottom": "C3"}[side]
        shade = 0.4 + 0.6 * (place + 1) / len(self.settings["levels"])
        style: dict[str, Any] = {"linestyle": "none", "marker": "os^Dv"[place % 5], "markersize": 5, "capsize": 2}
        heights, name = np.arange(len(rows)) + aside, f"{side} {100 * level:.4g} %"
        axes.errorbar(rows["value"], heights, xerr=bars, color=color, alpha=shade, label=name, **style)
        if measure == "label":
            axes.plot(rows["seen"], heights, "|", color=color, alpha=shade, label=f"{name}, from the true mask")


def tabulate(outcomes: Mapping[tuple[str, float, str], Sequence[Mapping[str, float]]], chance: float) -> pd.DataFrame:
    """The table, from every seed's outcome at each fill, level and side, the true mask's among them."""
    rows = [
        (name, level, side, measure, *mean_interval(values, *LIMITS.get(measure, (0.0, 1.0))), hidden, seen)
        for (name, level, side), every in outcomes.items()
        if name != TRUE_MASK
        for measure, values, hidden, seen in _measures(every, outcomes[TRUE_MASK, level, side], chance)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _measures(
    every: Sequence[Mapping[str, float]], true: Sequence[Mapping[str, float]], chance: float
) -> Iterator[tuple[str, np.ndarray, float, float]]:
    """Each measure with its value for every seed, what it is where nothing is recovered, and where everything is."""
    found = {name: np.array([one[name] for one in every]) for name in ("auroc", "bits", "entropy", "label")}
    yield "auroc", found["auroc"], 0.5, 1.0
    yield "bits", found["bits"], 0.0, float(found["entropy"].mean())
    yield "share", found["bits"] / np.maximum(found["entropy"], np.finfo(float).tiny), 0.0, 1.0
    yield "label", found["label"], chance, float(np.mean([one["label"] for one in true]))
