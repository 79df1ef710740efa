"""The verdict: whether the output changes less off the manifold than on it, under noise of one length.

`off-manifold robust`: the interval of the relative off-manifold robustness, over all radii, lies above 1. `not off-manifold
robust`: below 1. `inconclusive`: 1 lies within, or there is nothing to compare.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from gradaudit.instruments.manifold_robustness.result import Ratio, ratios_of
from gradaudit.results import Verdict

LITTLE = 0.5  # of the squared way to the nearest neighbour
SATURATED = 1.5  # of at most 2
ROUNDED = 1e-5  # a change that the rounding of fp32 logits can make
FEW = 30  # images


def judge(table: pd.DataFrame, details: Mapping[str, Any], settings: Mapping[str, Any]) -> Verdict:
    """The verdict, from all that was measured."""
    ratio = ratios_of(details, settings)[-1]
    caveats = tuple(_caveats(table, details, settings))
    if math.isnan(ratio.low) or table["change"].max() < ROUNDED:
        return Verdict("inconclusive", _nothing(details, settings), caveats)
    label = "off-manifold robust" if ratio.low > 1 else "not off-manifold robust" if ratio.high < 1 else "inconclusive"
    return Verdict(label, _sentence(ratio), caveats)


def _sentence(ratio: Ratio) -> str:
    interval = f"(95 % interval {ratio.low:.3g} to {ratio.high:.3g})"
    return f"noise of one length changes the output {ratio.value:.3g} times {interval} as much on the manifold as off it"


def _nothing(details: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    if settings["images"] < 2:
        return "a single image gives no interval"
    return "the output hardly changes in any direction, so there is nothing to compare"


def _caveats(table: pd.DataFrame, details: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    share = details["explained"]
    if share is None:
        yield "all images are copies of one another: nothing shows whether the tangent spaces lie along the data"
    elif share < LITTLE:
        chance = details["dimensions"] / math.prod(settings["shape"])
        yield f"the tangent spaces explain {share:.0%} of the way to the nearest other image (random ones: {chance:.0%})"
    full = table[table["change"] > SATURATED]
    if len(full):
        shown = ", ".join(f"{row['direction']} at {row['radius']:g}" for row in full.to_dict("records"))
        yield f"the change comes near its largest value of 2, where directions no longer differ: {shown}"
    small = table[table["change"] < ROUNDED]
    if len(small):
        shown = ", ".join(f"{row['direction']} at {row['radius']:g}" for row in small.to_dict("records"))
        yield f"the change is so small that rounding decides it: {shown}"
    if settings["images"] < FEW:
        yield f"{settings['images']} images are few: the bootstrap's intervals are too narrow"
