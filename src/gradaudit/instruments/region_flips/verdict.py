"""The verdict: whether the pixels that the first map ranks first are those whose change makes another class, to others as well.

At the middle level, by the flips that every independent oracle confirms. `decisive`: there are surely more on top than at the
bottom, and that by more than with random ranks where these ran. `upside down`: surely fewer, in both ways. `indifferent`: the
difference lies within a tenth of what changes of the whole image bring. `inconclusive`: none of these, or no oracle that could
confirm anything. The classifier's own flips decide nothing: its gradient is large where little changes its outputs much.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from gradaudit.attributions import what_lacks
from gradaudit.instruments.region_flips.result import (
    CONFIRMED,
    FLIPPED,
    RIVAL,
    deciding,
    hits,
    independent,
    lead_over,
    measures_of,
)
from gradaudit.results import Verdict

LITTLE = 0.1  # of what changes of the whole image bring: a difference that does not matter
RARE = 0.1  # share of images whose flip is confirmed where all of them may change, below which little can be compared
UNLIKE = 0.8  # share of originals that an oracle should give the classifier's class
FEW = 30  # images
WIDE = 0.2  # an interval's width

DECISIVE, INDIFFERENT, UPSIDE_DOWN, OPEN = "decisive", "indifferent", "upside down", "inconclusive"


def judge(table: pd.DataFrame, details: Mapping[str, Any], settings: Mapping[str, Any]) -> Verdict:
    """The verdict, from the table and from what was said of every image."""
    name, level = settings["attributions"][0], deciding(settings["levels"])
    own = table[(table["attribution"] == name) & (table["level"] == level)].set_index("measure")
    wholes = {measure: float(hits(details["whole"], oracles).mean()) for measure, oracles in measures_of(details).items()}
    judged = bool(independent(details))
    label = _label(own.loc[CONFIRMED], wholes[CONFIRMED]) if judged else OPEN
    caveats = (
        *(_about_flips(own, wholes) if judged else ()),
        *(_about_controls(details, settings, label) if judged else ()),
        *_about_oracles(details),
        *_about_sample(own.loc[CONFIRMED if judged else FLIPPED], settings),
    )
    return Verdict(label, _sentence(name, level, own, wholes, judged), caveats)


def _label(row: Any, whole: float) -> str:
    lead = row["lead"] == row["lead"]
    if row["low"] > 0 and (not lead or row["lead_low"] > 0):
        return DECISIVE
    if row["high"] < 0 and (not lead or row["lead_high"] < 0):
        return UPSIDE_DOWN
    return INDIFFERENT if max(-row["low"], row["high"]) < LITTLE * whole else OPEN


def _sentence(name: str, level: float, own: pd.DataFrame, wholes: Mapping[str, float], judged: bool) -> str:
    measure = CONFIRMED if judged else FLIPPED
    row: Any = own.loc[measure]
    what = "flips that others confirm" if judged else "flips"
    found = (
        f"{what}: {row['top']:.1%} of the images where only the top {100 * level:.4g} % of the pixels by {name} may change, "
        f"{row['bottom']:.1%} where only the bottom {100 * level:.4g} % may, a difference of {row['difference']:+.3f} (95 % "
        f"interval {row['low']:+.3f} to {row['high']:+.3f}); {wholes[measure]:.1%} where all of them may"
    )
    return (
        found if judged else f"{found}; without an independent oracle nobody can say whether these are more than its own mistakes"
    )


def _about_flips(own: pd.DataFrame, wholes: Mapping[str, float]) -> Iterator[str]:
    flips, confirmed = own.loc[FLIPPED], own.loc[CONFIRMED]
    if flips["low"] > 0 >= confirmed["low"]:
        yield (
            f"by the classifier's own flips the difference is {flips['difference']:+.3f} ({flips['low']:+.3f} to "
            f"{flips['high']:+.3f}), "
            "which others do not confirm: where its gradient is large its outputs change, whatever that means"
        )
    if wholes[CONFIRMED] < RARE:
        yield (
            f"others confirm only {wholes[CONFIRMED]:.1%} of the images as flipped where all pixels may change "
            f"({wholes[FLIPPED]:.1%} were flipped): within this radius there is little to compare"
        )


def _about_controls(details: Mapping[str, Any], settings: Mapping[str, Any], label: str) -> Iterator[str]:
    levels, name = settings["levels"], settings["attributions"][0]
    if RIVAL not in settings["controls"]:
        yield "no random control ran: the lead over random ranks is not known"
    for control in settings["controls"]:
        place, judges = levels.index(deciding(levels)), independent(details)
        if label == DECISIVE and control != RIVAL and lead_over(details, name, control, judges, place)[1] <= 0:
            lacks = what_lacks(control)
            which = f", which {lacks}," if lacks else ""
            yield f"the control {control}{which} does as well: by place alone this shows little of a classifier"


def _about_oracles(details: Mapping[str, Any]) -> Iterator[str]:
    for name, found in details["oracles"].items():
        if found["helper"]:
            yield f"the oracle {name} is the robust helper that guided the change, and so no judge of it"
        if found["agrees"] < UNLIKE:
            yield f"the oracle {name} gives only {found['agrees']:.1%} of the originals the class that the classifier gives them"
        if found["already"]:
            yield f"the oracle {name} saw the class wanted in {found['already']:.1%} of the originals, and confirms none of these"
    if details["oracles"]:
        yield "an oracle that was trained on the same images may share the classifier's mistakes; what it confirms then says less"


def _about_sample(row: Any, settings: Mapping[str, Any]) -> Iterator[str]:
    count, width = settings["images"], row["high"] - row["low"]
    if count < FEW:
        yield f"{count} images are few: " + ("use more" if count == 1 else "their interval may be too narrow")
    elif width > WIDE:
        yield f"with {count} images, the interval is {width:.3f} wide"
