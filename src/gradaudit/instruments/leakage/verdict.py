"""The verdict: whether the first audited attribution leaves the signal, and what to know before relying on that.

At the middle of the levels, the mean share of top-ranked features outside the signal is compared with half of what chance gives.
`leaks`: its interval lies above. `stays`: below. `inconclusive`: half of chance lies within, a single image has no
interval, or most maps are zero everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from gradaudit.attributions import kept_count, what_lacks
from gradaudit.instruments.leakage.measures import null_top
from gradaudit.packing import unpack
from gradaudit.results import Verdict

PART = 0.5  # of chance
FEW = 30  # images: below, a t interval takes for granted more than it should
WIDE = 0.1  # an interval's width
ODD = 2.0  # intervals that a random control may stray from chance: four standard errors, one run in 15,000
EDGE = 0.05  # of the image: masks that leave less than this on either side
ZERO = 0.5  # share of maps that are zero everywhere, beyond which nothing was attributed
SLIGHT = 0.01  # a share of images, maps or features too small to mention


def judge(table: pd.DataFrame, details: Mapping[str, Any], settings: Mapping[str, Any]) -> Verdict:
    """The verdict, from all that was measured."""
    name, level = settings["attributions"][0], deciding(settings["top"])
    rows = table[table["measure"] == null_top(level)].set_index("attribution")
    row = {str(column): float(rows[column][name]) for column in ("value", "low", "high", "chance")}
    caveats = (*_about_classifier(details), *_about_controls(rows, name, settings), *_about_maps(details, name, level, settings))
    caveats += (*_about_masks(details, level, settings), *_about_sample(row, settings))
    half = PART * row["chance"]
    pointless = float((unpack(details["per_image"][name]["nonzero"]) == 0).mean()) > ZERO
    label = "inconclusive" if pointless else "leaks" if row["low"] > half else "stays" if row["high"] < half else "inconclusive"
    return Verdict(label, _sentence(row, name, level, settings), caveats)


def deciding(levels: list[float]) -> float:
    """The middle level, the lower of two."""
    return levels[(len(levels) - 1) // 2]


def _sentence(row: Mapping[str, float], name: str, level: float, settings: Mapping[str, Any]) -> str:
    interval = f" (95 % interval {row['low']:.1%} to {row['high']:.1%})" if row["low"] == row["low"] else ""
    what = f"of the top {100 * level:.4g} % {settings['features']} by {name} lie outside the signal"
    return f"{row['value']:.1%}{interval} {what}; at random it would be {row['chance']:.1%}"


def _about_classifier(details: Mapping[str, Any]) -> Iterator[str]:
    accuracy, chance, count = details["accuracy"], details["chance_accuracy"], unpack(details["labels"]).size
    told = f"the classifier gives {accuracy:.1%} of these images their label"
    if accuracy <= chance + 2 * np.sqrt(chance * (1 - chance) / count):
        yield f"{told}, no more than always giving the most frequent one ({chance:.1%}): it has not found the signal"
    elif accuracy < (1 + chance) / 2:
        yield f"{told}: where it is wrong, its gradients need not lead to the signal"


def _about_controls(rows: pd.DataFrame, name: str, settings: Mapping[str, Any]) -> Iterator[str]:
    chance = float(rows["chance"].iloc[0])
    for control in settings["controls"]:
        value, low, high = (float(rows[column][control]) for column in ("value", "low", "high"))
        if control == "random" and abs(value - chance) > ODD * (high - low) / 2:
            yield (
                f"the control random is off chance ({value:.1%}, chance {chance:.1%}): these images are fewer or more alike than"
                " they seem"
            )
        elif value < PART * chance and value <= rows["value"][name]:
            lacks = what_lacks(control)
            which = f", which {lacks}," if lacks else ""
            yield f"the control {control}{which} stays on the signal as well ({value:.1%} outside)"


def _about_maps(details: Mapping[str, Any], name: str, level: float, settings: Mapping[str, Any]) -> Iterator[str]:
    found = details["per_image"][name]
    nonzero = unpack(found["nonzero"])
    zero = float((nonzero == 0).mean())
    if zero:
        yield f"the scores of {zero:.1%} of the images are zero everywhere: their top features are drawn at random"
    short = float(((nonzero > 0) & (nonzero < kept_count(level, _features(settings)))).mean())
    if short > SLIGHT:
        told = f"have fewer scores other than zero than the top {100 * level:.4g} % holds"
        yield f"{short:.1%} of the images {told}: the rest of it is drawn at random"
    repeated = len(nonzero) - int(found["distinct_maps"]) - max(int((nonzero == 0).sum()) - 1, 0)
    if repeated > SLIGHT * len(nonzero):
        told = "the images repeat, or their pixels do not change the scores, and the interval counts each as one more"
        yield f"{repeated / len(nonzero):.1%} of the maps equal that of an earlier image: {told}"


def _about_masks(details: Mapping[str, Any], level: float, settings: Mapping[str, Any]) -> Iterator[str]:
    areas = unpack(details["signal_area"])
    for extreme, covered in ((areas > 1 - EDGE, f"more than {1 - EDGE:.0%}"), (areas < EDGE, f"less than {EDGE:.0%}")):
        if extreme.mean() > SLIGHT:
            yield f"in {extreme.mean():.1%} of the images the signal mask covers {covered} of the pixels"
    count = _features(settings)
    keep = kept_count(level, count)
    least = float((1 - np.minimum(areas * count, keep) / keep).mean())
    if least > SLIGHT:
        yield f"even a perfect map would have {least:.1%} outside, as the signal is smaller than the top {100 * level:.4g} %"


def _about_sample(row: Mapping[str, float], settings: Mapping[str, Any]) -> Iterator[str]:
    count, width = settings["images"], row["high"] - row["low"]
    if count < FEW:
        yield f"{count} images are few: " + ("one has no interval" if count == 1 else "their interval may be too narrow")
    if width > WIDE:
        yield f"with {count} images, the interval is {width:.1%} wide"


def _features(settings: Mapping[str, Any]) -> int:
    channels, height, width = settings["shape"]
    return int(height * width * (channels if settings["features"] == "coordinates" else 1))
