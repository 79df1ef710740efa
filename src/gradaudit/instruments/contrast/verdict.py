"""The verdict: whether the first audited map lies where classes differ, more than chance and than what knows no classifier.

`where classes differ`: image by image, the cosine of magnitudes surely exceeds that of the same map with the contrast of another
image of the class, and those of the controls `random` and `untrained` where they ran. `elsewhere`: it is surely below the first.
That it is below a control would not be enough: the control's magnitudes are of another kind, and an untrained network is a single
draw, whose luck no interval over images holds; of maps that know nothing every second would be called that. `inconclusive`:
neither, or the neighbours' majority is no better than chance, so that their contrast says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from gradaudit.attributions import what_lacks
from gradaudit.instruments.contrast.result import OTHER
from gradaudit.intervals import mean_interval
from gradaudit.packing import unpack
from gradaudit.results import Verdict

RIVALS = ("random", "untrained")
FEW = 30  # images
POOR = 0.5  # of the way from chance to 1: neighbours that are less often right
WIDE = 0.1  # an interval's width

THERE, ELSEWHERE, OPEN = "where classes differ", "elsewhere", "inconclusive"


def judge(table: pd.DataFrame, details: Mapping[str, Any], settings: Mapping[str, Any]) -> Verdict:
    """The verdict, from all that was measured."""
    name = settings["attributions"][0]
    leads = {one: _lead(details, name, one) for one in (OTHER, *settings["controls"])}
    rivals = [leads[one] for one in (OTHER, *RIVALS) if one in leads]
    label = THERE if all(low > 0 for _, low, _ in rivals) else ELSEWHERE if leads[OTHER][2] < 0 else OPEN
    if not _reads(details, settings):
        label = OPEN
    caveats = (*_about_neighbours(details, settings), *_about_controls(leads, settings, label), *_about_sample(table, settings))
    return Verdict(label, _sentence(table, details, name), caveats)


def _lead(details: Mapping[str, Any], name: str, other: str) -> tuple[float, float, float]:
    """The map's cosine less another's, on the same images, with its interval."""
    found = {**details["per_image"], OTHER: details[OTHER]}
    own, rival = (unpack(found[one]["magnitudes"]).astype(float) for one in (name, other))
    return mean_interval(own - rival, -1.0, 1.0)


def _reads(details: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    chance = details["chance"]
    return bool(details["voted"] > chance + 2 * np.sqrt(chance * (1 - chance) / settings["images"]))


def _sentence(table: pd.DataFrame, details: Mapping[str, Any], name: str) -> str:
    rows: Any = table[table["measure"] == "magnitudes"].set_index("attribution")
    own, chance = rows.loc[name], rows.loc[OTHER]
    return (
        f"the cosine of the magnitudes of {name} and of the contrast with unlike neighbours is {own['value']:.3f} (95 % interval "
        f"{own['low']:.3f} to {own['high']:.3f}); with another image's contrast it is {chance['value']:.3f}"
    )


def _about_neighbours(details: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    voted, chance, count = details["voted"], details["chance"], settings["neighbours"]
    told = f"the majority of the {count} nearest training images is of the image's class for {voted:.1%} of the images"
    if not _reads(details, settings):
        yield f"{told}, no better than chance ({chance:.1%}): pixel distances mean nothing here, nor does the contrast"
    elif voted < chance + POOR * (1 - chance):
        yield f"{told}: pixel distances mean little here, and the contrast is a rough one"


def _about_controls(leads: Mapping[str, Any], settings: Mapping[str, Any], label: str) -> Iterator[str]:
    for control in settings["controls"]:
        if label == THERE and control not in RIVALS and leads[control][1] <= 0:
            lacks = what_lacks(control)
            which = f", which {lacks}," if lacks else ""
            yield f"the control {control}{which} does as well: by place alone this shows little of a classifier"


def _about_sample(table: pd.DataFrame, settings: Mapping[str, Any]) -> Iterator[str]:
    rows = table[(table["measure"] == "magnitudes") & table["attribution"].isin(settings["attributions"])]
    width = float((rows["high"] - rows["low"]).max())
    if settings["images"] < FEW:
        yield f"{settings['images']} images are few: their interval may be too narrow"
    elif width > WIDE:
        yield f"with {settings['images']} images, intervals are up to {width:.2f} wide"
