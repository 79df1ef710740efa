"""DiffROAR's result: its table, its summary over seeds, its figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from gradaudit.instruments.diffroar.measures import CONDITIONAL, RAW, VALUES, Measure
from gradaudit.instruments.diffroar.statistics import summarise
from gradaudit.instruments.diffroar.values_verdict import values_verdict
from gradaudit.instruments.diffroar.verdict import conditional_verdict, disagreement, verdict
from gradaudit.results import Audited, Result, Verdict
from gradaudit.training.learners import shared_caveat

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLES = {
    "values": ("DiffROAR of values", "values, top - bottom, bits"),
    "diffroar": ("DiffROAR", "DiffROAR = top - bottom"),
    "diffroar_conditional": ("given the mask", "conditional DiffROAR, bits"),
}


@dataclass(frozen=True, eq=False)
class DiffROARResult(Audited, Result):
    """What `diffroar` returns.

    `table` has a row for each attribution (controls included), level and seed: `attribution`, `level` (share of features kept),
    `seed`, and what was measured; what was not is NaN.

    By evaluators (`settings["evaluate"]` is `"values"`), in bits: `values_top` and `values_bottom`, what the values of the highest-
    or lowest-ranked features tell of the label, and `values`, top - bottom. `selection_top` and `selection_bottom`, what a learner
    of mask and pixels knows beyond that. `swap_top` and `swap_bottom`, what the evaluator tells of an image's label when another
    image is shown under its mask: it should be 0, and is what the evaluator reads from the choice. `as_read_top` and
    `as_read_bottom`, the values to a reader who does not know that the features were chosen by looking, and so can be misled: below
    0, they do mislead. `top`, `bottom` and `diffroar` are accuracies of the evaluator and their difference, `bits_top` and
    `bits_bottom` its cross-entropies. `details["gap"]` has, for two levels, what a network that was trained for random masks of
    that level alone knows beyond the evaluator (`mean`, `low`, `high`, in bits); `details["against"]`, for each audited attribution
    and control, the values of the one less those of the other, level by level, with the ends of intervals that hold for all levels
    at once; `details["blind"]`, the controls that do not look at images.

    By retraining: `top` and `bottom`, test accuracies of learners that see only the highest- or lowest-ranked features; `diffroar`,
    top - bottom; `mask_top` and `mask_bottom`, of those that see only which features were kept; `both_top` and `both_bottom`, of
    those that see the features and which were kept. The same six with `bits_` before are held-out cross-entropies in bits, lower
    for more information. `diffroar_bits` is bits_bottom - bits_top, and `diffroar_conditional` is (bits_mask_top - bits_both_top) -
    (bits_mask_bottom - bits_both_bottom): what the kept pixels tell given the mask, on the top less on the bottom.

    `details["whole"]` and `details["whole_bits"]` hold, for each seed, test accuracy and bits of what sees whole images;
    `details["nothing"]` the bits of what sees nothing, `details["chance"]` the accuracy of a constant answer; and
    `details["image_variance"]`, and the same with a measure's prefix before, for each attribution and level, the part of the
    variance of the measure's mean that comes from the choice of test images.
    """

    kind: ClassVar[str] = "diffroar"

    @cached_property
    def summary(self) -> pd.DataFrame:
        """A row for each attribution and level: means over seeds, intervals, the smallest detectable difference.

        DiffROAR's are `mean`, `low`, `high`, `low_all`, `high_all` and `detectable`; the same with `bits_` before are those of
        DiffROAR in bits, with `conditional_` those of conditional DiffROAR, with `values_`, `values_top_` and the like those of
        what an evaluator reads.
        """
        return summarise(self.table, self.settings["test_images"], self.details)

    @property
    def brief(self) -> pd.DataFrame:
        """Of `summary` what a reader needs first."""
        if self.of_values:
            return _of_values(self.summary)
        return _of_retraining(self.summary, given_mask=bool(self.conditional_verdicts))

    @property
    def of_values(self) -> bool:
        """Whether evaluators read the kept features; otherwise learners were retrained on them."""
        return bool(self.settings.get("evaluate") == "values")

    @property
    def told_by_whole_images(self) -> float:
        """What whole images tell of the label, bits, the mean over seeds."""
        return float(self.details["nothing"] - np.mean(self.details["whole_bits"]))

    @cached_property
    def verdicts(self) -> dict[str, Verdict]:
        """The verdict of each audited attribution; of retraining, its first caveat says where conditional DiffROAR disagrees."""
        found = judge(self.summary, self.audited, self.controls, self.details)
        more = list(self.details.get("doubts", ()))
        if self.settings.get("shared_images"):
            more.append(shared_caveat(self.settings["shared_images"], self.settings["test_images"]))
        return {name: replace(one, caveats=(*one.caveats, *more)) for name, one in found.items()}

    @cached_property
    def conditional_verdicts(self) -> dict[str, Verdict]:
        """The verdict of each audited attribution by conditional DiffROAR; empty where it was not measured."""
        return judge_conditional(self.summary, self.audited, self.controls, self.details)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What there is to show: DiffROAR of values; or of retraining, and given the mask where that was measured."""
        if self.of_values:
            return (VALUES,)
        return (RAW, CONDITIONAL) if self.conditional_verdicts else (RAW,)

    def plot(self) -> Figure:
        """DiffROAR against level with 95 % intervals; and for each audited attribution what is behind it on either side."""
        from matplotlib.figure import Figure

        count = len(self.measures) + len(self.audited)
        figure = Figure(figsize=(4.6 * count, 3.8), layout="constrained")
        panels = iter(figure.subplots(1, count, squeeze=False)[0])
        for measure in self.measures:
            self._plot_differences(next(panels), measure)
        for name, panel in zip(self.audited, panels, strict=True):
            (self._plot_values if self.of_values else self._plot_accuracies)(panel, name)
        return figure

    def _plot_differences(self, axes: Axes, measure: Measure) -> None:
        axes.axhline(0, color="0.3", linewidth=0.8)
        for place, name in enumerate((*self.audited, *self.controls)):
            rows = self.summary[self.summary["attribution"] == name]
            mean, low, high = (rows[f"{measure.prefix}{part}"] for part in ("mean", "low", "high"))
            control = name in self.controls
            spread = np.vstack([mean - low, high - mean])
            style = {"linestyle": ":", "marker": ".", "alpha": 0.8} if control else {"linestyle": "-", "marker": "o"}
            label = f"{name} (control)" if control else name
            bars = None if np.isnan(spread).any() else spread
            axes.errorbar(rows["level"] * 100, mean, yerr=bars, color=f"C{place}", capsize=2, label=label, **style)
        title, ylabel = TITLES[measure.column]
        axes.set(xlabel="features kept, %", ylabel=ylabel, title=title)
        axes.legend(fontsize="small")

    def _plot_values(self, axes: Axes, name: str) -> None:
        rows = self.summary[self.summary["attribution"] == name]
        for side, color in (("top", "C0"), ("bottom", "C3")):
            mean, low, high = (rows[f"values_{side}_{part}"] for part in ("mean", "low", "high"))
            spread = np.vstack([mean - low, high - mean])
            bars = None if np.isnan(spread).any() else spread
            label = f"{side}-ranked features"
            axes.errorbar(rows["level"] * 100, mean, yerr=bars, color=color, capsize=2, marker="o", label=label)
        whole = self.told_by_whole_images
        axes.axhline(whole, color="0.3", linewidth=0.8, label="whole images")
        axes.axhline(0, color="0.6", linewidth=0.8, linestyle=":", label="nothing")
        axes.set(xlabel="features kept, %", ylabel="bits of values", title=name)
        axes.legend(fontsize="small")

    def _plot_accuracies(self, axes: Axes, name: str) -> None:
        rows = self.summary[self.summary["attribution"] == name]
        for side, color in (("top", "C0"), ("bottom", "C3")):
            axes.plot(rows["level"] * 100, rows[side], color=color, marker="o", label=f"{side}-ranked features")
            for seen, words, line in (("mask", "mask alone", "--"), ("both", "features and mask", ":")):
                if rows[f"{seen}_{side}"].notna().all():
                    values, label = rows[f"{seen}_{side}"], f"{side} {words}"
                    axes.plot(rows["level"] * 100, values, color=color, linestyle=line, marker=".", label=label)
        axes.axhline(float(np.mean(self.details["whole"])), color="0.3", linewidth=0.8, label="whole images")
        axes.axhline(self.details["chance"], color="0.6", linewidth=0.8, linestyle=":", label="chance")
        axes.set(xlabel="features kept, %", ylabel="test accuracy of the learner", title=name, ylim=(0, 1.02))
        axes.legend(fontsize="small")


def judged(table: pd.DataFrame, settings: dict[str, Any], details: dict[str, Any]) -> DiffROARResult:
    """The result whose verdict is that of the first attribution."""
    result = DiffROARResult(table, Verdict("", ""), settings, details)
    return replace(result, verdict=next(iter(result.verdicts.values())))


def judge(
    summary: pd.DataFrame, audited: tuple[str, ...], controls: tuple[str, ...], details: Mapping[str, Any]
) -> dict[str, Verdict]:
    """The verdict of each audited attribution, from the summary."""
    if "against" in details:
        return {name: values_verdict(summary, name, controls, details) for name in audited}
    conditional = judge_conditional(summary, audited, controls, details)
    found = {}
    for name in audited:
        raw = verdict(summary, name, controls, details["chance"], float(np.mean(details["whole"])))
        found[name] = replace(raw, caveats=(*disagreement(raw, conditional.get(name)), *raw.caveats))
    return found


def judge_conditional(
    summary: pd.DataFrame, audited: tuple[str, ...], controls: tuple[str, ...], details: Mapping[str, Any]
) -> dict[str, Verdict]:
    """The verdict of each audited attribution by conditional DiffROAR, from the summary; empty where it was not measured."""
    if "nothing" not in details or "against" in details:  # a result of before this was measured, or of evaluators
        return {}
    found = {name: conditional_verdict(summary, name, controls, details["nothing"]) for name in audited}
    return {name: one for name, one in found.items() if one is not None}


def _of_values(summary: pd.DataFrame) -> pd.DataFrame:
    shown = {
        "attribution": "attribution",
        "level": "level",
        "values_mean": "values, bits",
        "values_low": "low",
        "values_high": "high",
        "values_top_mean": "top, bits",
        "values_bottom_mean": "bottom, bits",
        "selection_top_mean": "selection, top",
        "selection_bottom_mean": "selection, bottom",
        "top": "top",
        "bottom": "bottom",
    }
    return _chosen(summary, {column: head for column, head in shown.items() if column in summary})


def _of_retraining(summary: pd.DataFrame, *, given_mask: bool) -> pd.DataFrame:
    given = {"conditional_mean": "given mask, bits", "conditional_low": "given low", "conditional_high": "given high"}
    shown = {
        "attribution": "attribution",
        "level": "level",
        "mean": "DiffROAR",
        "low": "low",
        "high": "high",
        "detectable": "detectable",
        **(given if given_mask else {}),
        **{column: column for column in ("top", "bottom", "mask_top", "mask_bottom")},
    }
    return _chosen(summary, shown)


def _chosen(summary: pd.DataFrame, heads: Mapping[str, str]) -> pd.DataFrame:
    """These columns under these heads."""
    return summary[[*heads]].set_axis([*heads.values()], axis="columns")
