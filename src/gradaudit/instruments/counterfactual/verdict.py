"""The verdict: whether what changes the classifier's mind is what independent classifiers take for the target too.

It is about the first method's flipped images. `semantic`: every oracle gives surely more than half of them the target. `not
semantic`: every oracle surely less than half. `inconclusive`: neither, or no oracle, or nothing was flipped. The robust helper,
which guided the change, is no judge of it.

Against another classifier, flipped images are those about which the two disagree: `semantic` then says that oracles side with the
explained one, `not semantic` that they don't. The other one is no judge either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from gradaudit.instruments.counterfactual.summary import AGREED, KEPT, rate_of, summarise
from gradaudit.results import Verdict

HALF = 0.5
FEW = 0.5  # share of flipped images below which the verdict is about a minority
WIDE = 0.3  # an interval's width
NAMED = 8  # images at most that a caveat names
UNLIKE = 0.8  # share of originals that an oracle should give the classifier's class


def judge(table: pd.DataFrame, details: Mapping[str, Any], settings: Mapping[str, Any]) -> Verdict:
    """The verdict, from all that was measured."""
    summary = summarise(table, details)
    method = settings["methods"][0]
    own = summary[summary["method"] == method].set_index("measure")
    judges = [name for name, found in details["oracles"].items() if is_judge(found) and AGREED + name in own.index]
    agreed, rate = own.loc[[AGREED + name for name in judges]], own.loc[rate_of(details)]
    about = (*_flips(rate, agreed), *_failures(table, method))
    caveats = (*_already(details), *about, *_oracles(details), *_data(settings))
    sentence = _sentence(method, rate, agreed) if "against" not in details else _disagreement(method, rate, own, judges)
    return Verdict(_label(agreed), sentence, caveats)


def is_judge(found: Mapping[str, Any]) -> bool:
    """Whether an oracle, as the details have it, had no part in the change."""
    return not found["helper"] and not found.get("against", False)


def _label(agreed: pd.DataFrame) -> str:
    if len(agreed) and (agreed["low"] > HALF).all():
        return "semantic"
    return "not semantic" if len(agreed) and (agreed["high"] < HALF).all() else "inconclusive"


def _sentence(method: str, flips: Any, agreed: pd.DataFrame) -> str:
    flipped = f"the classifier sees the target in {flips['value']:.1%} of {flips['images']:.0f} images that {method} changed"
    if not len(agreed):
        return f"{flipped}; without an independent oracle nobody can say whether that is more than its own mistake"
    if not flips["value"]:
        return f"{flipped}, so that there is nothing for an oracle to judge"
    told = [_told(str(name).removeprefix(AGREED), row) for name, row in agreed.iterrows()]
    return f"{flipped}; of these, the target is also seen by {' and by '.join(told)}"


def _disagreement(method: str, flips: Any, own: pd.DataFrame, judges: Sequence[str]) -> str:
    changed = f"{flips['value']:.1%} of {flips['images']:.0f} images that {method} changed"
    apart = f"in {changed}, the classifier sees the target and the other one keeps its class"
    if not judges:
        return f"{apart}; without an independent oracle nobody can say which of the two is right"
    if not flips["value"]:
        return f"{apart}, so that there is nothing for an oracle to judge"
    seen = "sees the target in {}, and the class that the other one keeps in {}"
    told = [f"the oracle {name} {seen.format(*(_share(own.loc[begin + name]) for begin in (AGREED, KEPT)))}" for name in judges]
    return f"{apart}; of these, {'; '.join(told)}"


def _told(oracle: str, row: Any) -> str:
    return f"the oracle {oracle} in {_share(row)}"


def _share(row: Any) -> str:
    return f"{row['value']:.1%} (95 % interval {row['low']:.1%} to {row['high']:.1%})"


def _already(details: Mapping[str, Any]) -> Iterator[str]:
    already = details.get("against", {}).get("already", ())
    if already:
        named = ", ".join(str(one["image"] + 1) for one in already[:NAMED]) + (", ..." if len(already) > NAMED else "")
        words = f"about {len(already)} image{'s' if len(already) > 1 else ''} as they are ({named})"
        yield f"the two disagree {words}: these show more than any that was changed, and are not among the figures"


def _flips(flips: Any, agreed: pd.DataFrame) -> Iterator[str]:
    if flips["value"] < FEW:
        yield f"only {flips['value']:.1%} of the images were flipped: what the others would need is not known"
    asked = agreed[agreed["images"] > 0]
    wide = asked[asked["high"] - asked["low"] > WIDE]
    if len(wide):
        width = float((wide["high"] - wide["low"]).max())
        yield f"few images: {int(wide['images'].min())} were flipped, and the oracles' intervals are up to {width:.0%} wide"


def _failures(table: pd.DataFrame, method: str) -> Iterator[str]:
    failed = table[(table["method"] == method) & (table["failed"] != "")]
    if len(failed):
        why = "; ".join(dict.fromkeys(failed["failed"]))
        yield f"{len(failed)} counterfactual{'s' if len(failed) > 1 else ''} could not be made and count as not flipped: {why}"


def _oracles(details: Mapping[str, Any]) -> Iterator[str]:
    for name, found in details["oracles"].items():
        if found["helper"]:
            yield f"the oracle {name} is the robust helper that guided the change, and so no judge of it"
        if found.get("against", False):
            yield f"the oracle {name} is the classifier that was to keep its class, and so no judge of it"
        if found["agrees"] < UNLIKE:
            yield f"the oracle {name} gives only {found['agrees']:.1%} of the originals the class that the classifier gives them"
        if found["already"]:
            yield f"the oracle {name} saw the target in {found['already']:.1%} of the originals already"
    if details["oracles"]:
        yield "an oracle that was trained on the same images may share the classifier's mistakes; its agreement then says less"


def _data(settings: Mapping[str, Any]) -> Iterator[str]:
    if settings["denoiser"] is None:
        yield "no denoiser was given, so that nothing holds the counterfactuals to what such images look like"
