"""The verdict: whether the classifier withstands the largest radius, and whether the figure that says so can be trusted.

`robust`: the interval of the accuracy lies above half of the clean accuracy. `brittle`: below. `inconclusive`: half lies within.
`unreliable`: it would be robust or inconclusive, but the attack shows signs of having failed rather than the classifier of having
withstood. A brittle classifier stays so whatever the signs: adversarial examples that were found exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import sqrt
from typing import Any

import numpy as np
import pandas as pd

from gradaudit.instruments.robustness.attack_checks import CHECKED
from gradaudit.instruments.robustness.methods import WORST
from gradaudit.instruments.robustness.result import clean_images, withstood
from gradaudit.results import Verdict

KEPT = 0.5  # of the clean accuracy
ZERO_GRADIENT = 0.1  # share of images without a gradient, beyond which an attack by gradients says little
UNBOUNDED = 0.05  # share of images that an attack without bound fails on
DROP = 0.05  # of accuracy, on more steps, random points or a smaller radius
WIDE = 0.15  # an interval's width

Sign = tuple[str, bool]  # a caveat, and whether the figure can't be relied on for it


def judge(table: pd.DataFrame, details: Mapping[str, Any], settings: Mapping[str, Any]) -> Verdict:
    """The verdict, from all that was measured."""
    signs = [*_signs(table, details, settings)]
    caveats = tuple(text for text, _ in signs)
    row = _deciding_row(table, details, settings)
    clean = float(clean_images(details).mean())
    if row is None:
        return Verdict("inconclusive", f"no bounded perturbation was tried; the clean accuracy is {clean:.1%}", caveats)
    if clean == 0:
        return Verdict("inconclusive", "not one image is classified correctly, so there is nothing to withstand", caveats)
    label = "robust" if row["low"] >= KEPT * clean else "brittle" if row["high"] < KEPT * clean else "inconclusive"
    fatal = label != "brittle" and row["attack"] in (*details["correct"], WORST) and any(deep for _, deep in signs)
    return Verdict("unreliable" if fatal else label, _sentence(row, clean, details, fatal), caveats)


def _deciding_row(table: pd.DataFrame, details: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """That of the attacks, of the certificates or of the average case, at the largest radius at which not everything is allowed."""
    attacks = [*details["correct"]]
    names = [WORST if len(attacks) > 1 else attacks[0]] if attacks else [*details["certificates"], *details["shares"]]
    rows = table[(table["attack"] == names[0]) & (table["eps"] > 0) & (table["eps"] < _everything(settings))]
    return None if rows.empty else {str(name): value for name, value in rows.iloc[-1].items()}


def _sentence(row: Mapping[str, Any], clean: float, details: Mapping[str, Any], fatal: bool) -> str:
    interval = f"(95 % interval {row['low']:.1%} to {row['high']:.1%})"
    if row["attack"] in details["certificates"]:
        return f"for {row['accuracy']:.1%} of the images {interval} the label is certified to l2 {row['eps']:g}; clean {clean:.1%}"
    if row["attack"] in details["shares"]:
        return f"{row['accuracy']:.1%} of neighbours {interval} keep the class under noise of std {row['eps']:g}; clean {clean:.1%}"
    by = "the worst of all attacks" if row["attack"] == WORST else row["attack"]
    kept = f"{row['accuracy']:.1%} {interval} of the images keep their label under {by} at {row['norm']} {row['eps']:g}"
    doubt = ", but the attack shows signs of having failed" if fatal else ""
    return f"{kept}, of {clean:.1%} clean{doubt}"


def _signs(table: pd.DataFrame, details: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[Sign]:
    if details["correct"]:
        yield from _masking(details["checks"], settings)
        yield from _budget(details, settings)
        yield from _ensemble(details, settings)
    yield from _sample(table, details, settings)


def _masking(found: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[Sign]:
    if found["randomised"] and settings["eot"] == 1:
        yield "it was attacked without averaging the gradients of several calls; set eot to 10 or more", True
    elif found["randomised"]:
        yield f"the attacks' gradients are averages over {settings['eot']} passes, outcomes are of one", False
    zero = found.get("zero_gradient", 0.0)
    if zero:
        yield (
            f"{zero:.0%} of the checked images have a loss whose gradient is exactly zero",
            zero > ZERO_GRADIENT,
        )
    left = found.get("unbounded", 0.0)
    if left:
        told = "images keep their label even when PGD may change them without bound: gradients do not lead to the boundary"
        yield f"{left:.0%} of the checked {told}", left > UNBOUNDED


def _budget(details: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[Sign]:
    found = details["checks"]
    # One image of a handful is no sign.
    limit = max(DROP, 1.5 / min(CHECKED, settings["images"]))
    for eps, drop in found["noise"].items():
        if drop:
            yield f"at eps {eps}, random points break {drop:.1%} of the checked images that the attacks did not", drop > limit
    for name, drops in found["more_steps"].items():
        for eps, drop in drops.items():
            if drop:
                yield f"at eps {eps}, twice the steps of {name} break {drop:.1%} more of the checked images", drop > limit
    for name in details["correct"]:
        rise = _rise(details, name)
        if rise:
            told = "of the images fall at one radius but stand at a larger one, which contains it"
            yield f"under {name}, {rise:.1%} {told}", rise > limit
        if _flat(details, settings, name):
            yield f"under {name}, a larger eps does not lower the accuracy", False


def _rise(details: Mapping[str, Any], name: str) -> float:
    """The share of images that withstand a radius after falling at a smaller one."""
    kept = np.stack([withstood(details, [name], place) for place in range(len(details["correct"][name]))])
    fallen = np.logical_or.accumulate(~kept, axis=0)[:-1]
    return float((kept[1:] & fallen).any(axis=0).mean())


def _flat(details: Mapping[str, Any], settings: Mapping[str, Any], name: str) -> bool:
    """Whether the accuracy is the same at the smallest and the largest radius above 0, at least twice as large, and not 0."""
    radii = [place for place, eps in enumerate(settings["eps"]) if eps > 0]
    if len(radii) < 2 or settings["eps"][radii[-1]] < 2 * settings["eps"][radii[0]]:
        return False
    first, last = (withstood(details, [name], place).mean() for place in (radii[0], radii[-1]))
    return bool(last >= first > 0)


def _ensemble(details: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[Sign]:
    """How far a single attack is above the worst of all: how much would have been missed without the others."""
    if len(details["correct"]) < 2:
        return
    for place, eps in enumerate(settings["eps"]):
        worst = withstood(details, [*details["correct"]], place).mean()
        for name in details["correct"]:
            above = float(withstood(details, [name], place).mean() - worst)
            if above > DROP:
                yield f"at eps {eps:g}, {name} alone would have said {above:.1%} too much", False


def _sample(table: pd.DataFrame, details: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[Sign]:
    everything = _everything(settings)
    beyond = [eps for eps in settings["eps"] if eps >= everything]
    if beyond:
        shown = ", ".join(f"{eps:g}" for eps in beyond)
        yield f"at {settings['norm']} {shown} every image may become any other, so the accuracy says nothing there", False
    if settings["norm"] == "linf" and any(0.5 <= eps < everything for eps in settings["eps"]):
        yield "from linf 0.5 on, every image may become the same grey, so no classifier can be right on more than one class", False
    if len(set(details["labels"])) == 1:
        yield "all images are of one class: a classifier that always says so would look perfect", False
    width = float((table["high"] - table["low"]).max())
    if width > WIDE:
        yield f"with {len(details['labels'])} images, intervals are up to {width:.1%} wide", False


def _everything(settings: Mapping[str, Any]) -> float:
    """The radius at which every image can become any other."""
    return 1.0 if settings["norm"] == "linf" else sqrt(np.prod(settings["shape"]))
