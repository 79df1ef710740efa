"""DiffROAR's result: its table, its summary over seeds, its figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from gradaudit.instruments.diffroar.statistics import summarise, verdict
from gradaudit.results import Result, Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ("attribution", "level", "seed", "top", "bottom", "diffroar", "mask_top", "mask_bottom")


@dataclass(frozen=True, eq=False)
class DiffROARResult(Result):
    """What `diffroar` returns.

    `table` has a row for each attribution (controls included), level and seed, with the columns `attribution`, `level` (share of
    features kept), `seed`, `top` and `bottom` (test accuracy of a learner that sees only the highest- or lowest-ranked features),
    `diffroar` (top - bottom), `mask_top` and `mask_bottom` (test accuracy of a learner that sees only which features were kept).
    `details["whole"]` holds, for each seed, the test accuracy of a learner that sees whole images; `details["image_variance"]`, for
    each attribution and level, the part of the variance of DiffROAR's mean that comes from the choice of test images.
    """

    kind: ClassVar[str] = "diffroar"

    @cached_property
    def summary(self) -> pd.DataFrame:
        """A row for each attribution and level: means over seeds, DiffROAR's intervals, the smallest detectable difference."""
        return summarise(self.table, self.settings["test_images"], self.details["image_variance"])

    @property
    def audited(self) -> tuple[str, ...]:
        """The audited attributions."""
        return tuple(self.settings["attributions"])

    @property
    def controls(self) -> tuple[str, ...]:
        """The controls that ran beside them."""
        return tuple(self.settings["controls"])

    @cached_property
    def verdicts(self) -> dict[str, Verdict]:
        """The verdict of each audited attribution."""
        return judge(self.summary, self.audited, self.controls, self.details)

    def plot(self) -> Figure:
        """DiffROAR against level with 95 % intervals, beside the controls; and for each audited attribution the accuracies."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(4.6 * (1 + len(self.audited)), 3.8), layout="constrained")
        panels = figure.subplots(1, 1 + len(self.audited), squeeze=False)[0]
        self._plot_differences(panels[0])
        for panel, name in zip(panels[1:], self.audited, strict=True):
            self._plot_accuracies(panel, name)
        return figure

    def _plot_differences(self, axes: Axes) -> None:
        axes.axhline(0, color="0.3", linewidth=0.8)
        for place, name in enumerate((*self.audited, *self.controls)):
            rows = self.summary[self.summary["attribution"] == name]
            control = name in self.controls
            spread = np.vstack([rows["mean"] - rows["low"], rows["high"] - rows["mean"]])
            style = {"linestyle": ":", "marker": ".", "alpha": 0.8} if control else {"linestyle": "-", "marker": "o"}
            label = f"{name} (control)" if control else name
            bars = None if np.isnan(spread).any() else spread
            axes.errorbar(rows["level"] * 100, rows["mean"], yerr=bars, color=f"C{place}", capsize=2, label=label, **style)
        axes.set(xlabel="features kept, %", ylabel="DiffROAR = top - bottom", title="DiffROAR")
        axes.legend(fontsize="small")

    def _plot_accuracies(self, axes: Axes, name: str) -> None:
        rows = self.summary[self.summary["attribution"] == name]
        for side, color in (("top", "C0"), ("bottom", "C3")):
            axes.plot(rows["level"] * 100, rows[side], color=color, marker="o", label=f"{side}-ranked features")
            if rows[f"mask_{side}"].notna().all():
                label = f"{side} mask alone"
                axes.plot(rows["level"] * 100, rows[f"mask_{side}"], color=color, linestyle="--", marker=".", label=label)
        axes.axhline(float(np.mean(self.details["whole"])), color="0.3", linewidth=0.8, label="whole images")
        axes.axhline(self.details["chance"], color="0.6", linewidth=0.8, linestyle=":", label="chance")
        axes.set(xlabel="features kept, %", ylabel="test accuracy of the learner", title=name, ylim=(0, 1.02))
        axes.legend(fontsize="small")


def judge(
    summary: pd.DataFrame, audited: tuple[str, ...], controls: tuple[str, ...], details: Mapping[str, Any]
) -> dict[str, Verdict]:
    """The verdict of each audited attribution, from the summary."""
    return {name: verdict(summary, name, controls, details["chance"], float(np.mean(details["whole"]))) for name in audited}
