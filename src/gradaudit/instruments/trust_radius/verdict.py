"""The verdict: how far from an image its gradient predicts the change of the margin, and what to know before relying on that.

By the mean over images of the share of the change that the gradient explains, with its 95 % interval at each sigma. `wide`: the
interval lies at or above half at every sigma. `local`: it does at the smallest sigma, and lies below half at a larger one.
`nowhere`: it lies below half at the smallest. `inconclusive`: it holds half at the smallest sigma, or never lies below.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gradaudit.instruments.trust_radius.result import agreement_of, radius_of, root_of_coordinates
from gradaudit.instruments.trust_radius.statistics import HALF
from gradaudit.intervals import Interval
from gradaudit.packing import unpack
from gradaudit.results import Verdict

FEW = 30  # images
WIDE_INTERVAL = 2.0  # how many times its lower end an interval's upper end is
NEARLY_ALL = 0.9  # of the change: what a gradient explains close enough to an image without a kink
SLIGHT = 0.01  # a share of images or of copies too small to mention

WIDE, LOCAL, NOWHERE, OPEN = "wide", "local", "nowhere", "inconclusive"


def judge(table: pd.DataFrame, details: Mapping[str, Any], settings: Mapping[str, Any]) -> Verdict:
    """The verdict, from the table and from what was found around every image."""
    case = _Case(table, details, settings)
    caveats = (*_about_start(case), *_about_rise(case), *_about_decisions(case), *_about_gradients(case), *_about_sample(case))
    return Verdict(case.label, _sentence(case), caveats)


@dataclass(frozen=True, eq=False)
class _Case:
    """What is judged."""

    table: pd.DataFrame
    details: Mapping[str, Any]
    settings: Mapping[str, Any]

    @property
    def radius(self) -> Interval:
        return radius_of(self.table)

    @property
    def label(self) -> str:
        low = self.radius[1]
        if math.isnan(low):
            return OPEN
        if (self.table["explained_low"] >= HALF).all():
            return WIDE
        if self.table["explained_high"].iloc[0] < HALF:
            return NOWHERE
        return LOCAL if low > 0 and (self.table["explained_high"] < HALF).any() else OPEN

    def unit(self, sigma: float) -> str:
        length = sigma * root_of_coordinates(self.settings)
        return f"standard deviation of the noise, pixel values; L2 about {length:.2g}"

    def explained(self, place: int) -> str:
        row = self.table.iloc[place]
        ends = f" (95 % interval {row['explained_low']:.1%} to {row['explained_high']:.1%})"
        known = not math.isnan(row["explained_low"])
        return f"{row['explained']:.1%}{ends if known else ''} of the change of the margin"


def _sentence(case: _Case) -> str:
    value, low, high = case.radius
    smallest, largest = case.settings["sigma"][0], case.settings["sigma"][-1]
    predicts = "the gradient at an image predicts what happens within"
    if case.label == WIDE:
        return (
            f"{predicts} {largest:g} of it ({case.unit(largest)}), the most that was tried: it explains {case.explained(-1)} there"
        )
    if case.label == LOCAL:
        ends = f"95 % interval {low:.2g} to {high:.2g}; {case.unit(value)}"
        return f"{predicts} {value:.2g} of it ({ends}) and not beyond: there it explains half of the change of the margin"
    if low > 0:
        perhaps = f"and perhaps to {largest:g}, the most that was tried: it explains {case.explained(-1)} there"
        return f"{predicts} {low:.2g} of it ({case.unit(low)}), {perhaps}"
    least = f"within {smallest:g} of an image ({case.unit(smallest)}), the least that was tried, its gradient explains"
    if case.label == NOWHERE:
        return f"even {least} {case.explained(0)}, not half"
    return f"{least} {case.explained(0)}: whether half is not settled"


def _about_start(case: _Case) -> Iterator[str]:
    share = float(case.table["explained"].iloc[0])
    if case.label in (LOCAL, OPEN) and share < NEARLY_ALL:
        yield (
            f"already at the smallest sigma, {case.settings['sigma'][0]:g}, the gradient explains no more than {share:.1%}: there "
            "are kinks at the images themselves, or it takes a smaller sigma to see where it explains nearly all"
        )


def _about_rise(case: _Case) -> Iterator[str]:
    """The share is above half again beyond the radius."""
    value, _, _ = case.radius
    again = case.table[(case.table["sigma"] > value) & (case.table["explained_low"] >= HALF)]
    if len(again):
        yield f"beyond the radius the share rises again: at sigma {again['sigma'].iloc[0]:g} it is {again['explained'].iloc[0]:.1%}"


def _about_decisions(case: _Case) -> Iterator[str]:
    _, low, _ = case.radius
    agreed = agreement_of(case.table)[0]
    if agreed < low:
        row = case.table[case.table["sigma"] > agreed].iloc[0]
        yield (
            f"of whether the class is kept, the gradient says less: its probabilities are off by more than 0.1 from sigma "
            f"{agreed:.2g} on (at {row['sigma']:g} by {row['error_taylor']:.2f})"
        )


def _about_gradients(case: _Case) -> Iterator[str]:
    flat = float(unpack(case.details["flat"]).mean())
    if flat:
        yield f"for {flat:.1%} of the images the gradient of the margin is zero everywhere: it predicts that nothing changes"
    elsewhere = unpack(case.details["elsewhere"]).mean(axis=1)
    place = int(np.argmax(elsewhere))
    if elsewhere[place] > SLIGHT:
        yield (
            f"at sigma {case.settings['sigma'][place]:g}, {elsewhere[place]:.1%} of the copies get a class beyond the "
            f"{case.settings['classes_followed']} rivals that are followed: the estimates of keeping the class are too high; raise "
            "`classes`"
        )


def _about_sample(case: _Case) -> Iterator[str]:
    count, (_, low, high) = case.settings["images"], case.radius
    if count < FEW:
        yield f"{count} images are few: " + ("use more" if count == 1 else "their interval may be too narrow")
    elif case.label == LOCAL and high > WIDE_INTERVAL * low:
        yield f"with {count} images, the upper end of the interval is {high / low:.2g} times the lower"
