"""The verdict: whether the classifier uses what the first audited attribution ranks first, and what to know before relying on that.

At the middle level and under the first fill. `used`: fidelity's interval lies above 0, and above that of the control `random` where
it ran. `upside down`: below both. `not used`: the interval lies within a tenth of what the classifier has to lose, its accuracy on
whole images less that of always giving the most frequent target. `inconclusive`: none of these, or the classifier is no better than
chance on whole images, so that it has nothing to lose, or with either side, so that it reads nothing that could be compared. (A map
of the label's gradient knows the label. Beside a classifier that does not, what is left by it can still draw the label oftener than
chance.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gradaudit.attributions import kind_of, what_lacks
from gradaudit.intervals import Interval, mean_interval
from gradaudit.packing import unpack
from gradaudit.results import Verdict

LITTLE = 0.1  # of what the classifier has to lose: a fidelity that does not matter
HARDLY = 0.1  # of the way from chance to 1: an accuracy that is hardly better
SURE = 0.5  # of the way from chance to 1: a mean confidence that images with nothing left do not deserve
FEW = 30  # images
WIDE = 0.2  # an interval's width
SLIGHT = 0.01  # a share of images too small to mention

USED, NOT_USED, UPSIDE_DOWN, OPEN = "used", "not used", "upside down", "inconclusive"


def judge(table: pd.DataFrame, details: Mapping[str, Any], settings: Mapping[str, Any]) -> Verdict:
    """The verdict, from the table and from what the classifier answered to every image."""
    case = _Case(table, details, settings)
    label = case.label(case.fill)
    caveats = (
        *_about_copy(case),
        *_about_classifier(case),
        *_about_reading(case),
        *_about_random(case),
        *_about_controls(case, label),
        *_about_fill(case),
        *_about_other_fills(case, label),
        *_about_logs(case),
        *_about_patches(case),
        *_about_sample(case),
    )
    return Verdict(label, _sentence(case), caveats)


def deciding(levels: list[float]) -> float:
    """The middle level, the lower of two."""
    return levels[(len(levels) - 1) // 2]


@dataclass(frozen=True, eq=False)
class _Case:
    """What is judged: the first attribution at the middle level under the first fill."""

    table: pd.DataFrame
    details: Mapping[str, Any]
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.settings["attributions"][0])

    @property
    def fill(self) -> str:
        return str(self.settings["fills"][0])

    @property
    def level(self) -> float:
        return deciding(self.settings["levels"])

    @property
    def share(self) -> str:
        return f"{100 * self.level:.4g} %"

    @property
    def row(self) -> Any:
        return self.rows(self.fill).loc[self.name]

    @property
    def chance(self) -> float:
        return float(self.details["chance"])

    @property
    def target(self) -> str:
        return {"label": "their label", "predicted": "the class that it gives them whole"}[self.settings["target"]]

    @property
    def clean(self) -> float:
        """Accuracy on whole images of what is asked under the first fill."""
        return self.whole(self.fill)

    @property
    def asked(self) -> str:
        """What is asked, in words."""
        return "the fine-tuned copy" if self.details["copies"] else "the classifier"

    def whole(self, fill: str) -> float:
        """Accuracy on whole images of what is asked under a fill: the classifier, or its copy."""
        return float(unpack(self.details["copies"].get(fill, self.details["clean"])["right"]).mean())

    @property
    def luck(self) -> float:
        """The highest accuracy that always giving the most frequent target may have on so many images: two standard errors more."""
        return self.chance + 2 * float(np.sqrt(self.chance * (1 - self.chance) / self.settings["images"]))

    def rows(self, fill: str) -> pd.DataFrame:
        """The rows of a fill at the level, by attribution."""
        return self.table[(self.table["fill"] == fill) & (self.table["level"] == self.level)].set_index("attribution")

    def reads(self, fill: str) -> bool:
        """Whether the classifier is better than chance on one side or the other."""
        row = self.rows(fill).loc[self.name]
        return bool(max(row["top"], row["bottom"]) > self.luck)

    def label(self, fill: str) -> str:
        """What the numbers under a fill say."""
        if self.whole(fill) <= self.luck or not self.reads(fill):
            return OPEN
        rows = self.rows(fill)
        row = rows.loc[self.name]
        rivals = rows[rows.index.isin({"random"} & {*self.settings["controls"]})]
        if row["low"] > max([0.0, *rivals["high"]]):
            return USED
        if row["high"] < min([0.0, *rivals["low"]]):
            return UPSIDE_DOWN
        little = LITTLE * (self.whole(fill) - self.chance)
        return NOT_USED if -little < row["low"] and row["high"] < little else OPEN

    def lead(self, control: str) -> Interval:
        """The attribution's fidelity less the control's, on the same images, with a 95 % t interval."""
        place, read = self.settings["levels"].index(self.level), self.details["read"][self.fill]
        own, other = (unpack(read[name]["right"])[place].astype(float) for name in (self.name, control))
        return mean_interval((own[0] - own[1]) - (other[0] - other[1]), -2.0, 2.0)


def _sentence(case: _Case) -> str:
    row = case.row
    left = f"when only the top {case.share} {case.settings['features']} by {case.name} are left"
    interval = f"(95 % interval {row['low']:+.3f} to {row['high']:+.3f})"
    return (
        f"{case.asked} gives {row['top']:.1%} of the images {case.target} {left}, and {row['bottom']:.1%} when only the bottom "
        f"{case.share} are: fidelity {row['fidelity']:+.3f} {interval}"
    )


def _about_copy(case: _Case) -> Iterator[str]:
    made = case.settings["finetuned"]
    if made:
        audited = float(unpack(case.details["clean"]["right"]).mean())
        yield (
            f"not the classifier was asked but a copy, fine-tuned on {made['train_images']:,} images of which up to "
            f"{made['removed']:.4g} was filled; of whole images it gives {case.clean:.1%} {case.target}, the classifier itself "
            f"{audited:.1%}; what the copy uses, the classifier need not"
        )


def _about_classifier(case: _Case) -> Iterator[str]:
    told = f"{case.asked} gives {case.clean:.1%} of the images as they are {case.target}"
    constant = f"always giving the most frequent one ({case.chance:.1%})"
    if case.clean <= case.luck:
        yield f"{told}, no more than {constant}: there is nothing for it to lose"
    elif case.clean < case.chance + HARDLY * (1 - case.chance):
        yield f"{told}, hardly more than {constant}: there is little for it to lose"


def _about_reading(case: _Case) -> Iterator[str]:
    if case.clean > case.luck and not case.reads(case.fill):
        yield (
            f"with {case.share} of the {case.settings['features']} left, {case.asked} is no better than chance "
            f"({case.chance:.1%}) on either side: it reads such images too badly to say what it uses of whole ones; keep more, or "
            "fill otherwise"
        )


def _about_random(case: _Case) -> Iterator[str]:
    if "random" in case.settings["controls"]:
        row = case.rows(case.fill).loc["random"]
        if row["low"] > 0 or row["high"] < 0:
            found = f"{row['fidelity']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})"
            yield (
                f"the control random, whose fidelity is 0 in expectation, has {found}: one run in twenty does by chance, or these "
                "images are more alike than they seem"
            )


def _about_controls(case: _Case, label: str) -> Iterator[str]:
    """Controls that the attribution is not surely above: all where it is used, an untrained network's whatever the label."""
    for control in case.settings["controls"]:
        lead, low, high = case.lead(control)
        kind = kind_of(control)
        if kind == "random" or low > 0 or (label != USED and kind != "untrained"):
            continue
        fidelity = case.rows(case.fill).loc[control]["fidelity"]
        ends = f" ({low:+.3f} to {high:+.3f})" if low == low else ""
        yield f"{_not_beaten(control)}: fidelity {fidelity:+.3f}; the lead over it is {lead:+.3f}{ends}"


def _not_beaten(control: str) -> str:
    kind = kind_of(control)
    if kind == "untrained":
        return (
            f"it is not surely above the same of the network before any training ({control}), so what training changed is not shown"
        )
    if kind == "blurred":
        return f"the map under a blur ({control}) does as well: its single pixels carry nothing that blur would take away"
    return f"the control {control}, which {what_lacks(control) or 'lacks nothing'}, does as well"


def _about_fill(case: _Case) -> Iterator[str]:
    nothing, classes = case.details["nothing"][case.fill], case.settings["classes"]
    accuracy, removed = nothing["accuracy"], f"with everything removed {case.asked}"
    if abs(accuracy - case.chance) > case.luck - case.chance:
        yield (
            f"{removed} gives {accuracy:.1%} of the images {case.target}, far from chance ({case.chance:.1%}): what the fill "
            f"{case.fill} alone makes it answer is part of every number"
        )
    if nothing["confidence"] > case.chance + SURE * (1 - case.chance):
        given = classes[nothing["class"]] if nothing["class"] < len(classes) else f"class {nothing['class']}"
        yield (
            f"{removed} is {nothing['confidence']:.0%} sure on average, and gives {nothing['share']:.0%} of the images the class "
            f"{given}: the fill {case.fill} is off its data, and draws answers there where little is left"
        )


def _about_other_fills(case: _Case, label: str) -> Iterator[str]:
    for fill in case.settings["fills"][1:]:
        other, row = case.label(fill), case.rows(fill).loc[case.name]
        if other != label:
            found = f"fidelity {row['fidelity']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})"
            yield f"it depends on the fill: with {fill} the verdict would be {other}, {found}"


def _about_logs(case: _Case) -> Iterator[str]:
    row = case.row
    if (row["low"] > 0 and row["log_high"] < 0) or (row["high"] < 0 and row["log_low"] > 0):
        found = f"{row['log_fidelity']:+.2f} ({row['log_low']:+.2f} to {row['log_high']:+.2f})"
        yield f"by the mean log probability it is the other way round: {found}"


def _about_patches(case: _Case) -> Iterator[str]:
    if case.details["patches"]:
        left_out = float(np.isnan(unpack(case.details["patches"][case.fill][case.name])).mean())
        if left_out > SLIGHT:
            yield (
                f"{left_out:.1%} of the images are left out of the deletion of single patches: their scores, or the drops of the "
                "logit, are the same for every patch"
            )


def _about_sample(case: _Case) -> Iterator[str]:
    count, width = case.settings["images"], case.row["high"] - case.row["low"]
    if count < FEW:
        yield f"{count} images are few: " + ("use more" if count == 1 else "their interval may be too narrow")
    elif width > WIDE:
        yield f"with {count} images, the interval is {width:.3f} wide"
