"""The verdict: what a sweep says of the claim of Srinivas et al. (2023).

The claim: alignment is largest at an intermediate strength, and goes with relative off-manifold robustness. `confirmed`: the peak
is surely intermediate in every family, and the rank correlation's interval lies above 0. `not confirmed`: in no family, and it does
not. `mixed`: otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from gradaudit.classifiers.check import RANDOMISED
from gradaudit.instruments.sweep.measured_classifier import MeasuredClassifier
from gradaudit.instruments.sweep.regimes import SHARE, UNCERTAIN, find_regimes
from gradaudit.instruments.sweep.trends import FEW, INTERMEDIATE, correlate, find_peaks
from gradaudit.intervals import mean_interval
from gradaudit.results import Verdict
from gradaudit.training.learners import shared_caveat

FEW_IMAGES, FEW_CLASSIFIERS = 200, 10
SHOWN = 6  # names in a list
ABOVE_CHANCE = 0.1  # of the way from chance to 1
LITTLE = 0.02  # of at most 2: a change of the unregularised classifier whose half says little


def judge(measured: list[MeasuredClassifier], ratios: list[float], settings: Mapping[str, Any]) -> Verdict:
    """The verdict, from all that was measured.

    Args:
        measured: the classifiers, the unregularised one first.
        ratios: each classifier's relative off-manifold robustness.
        settings: the settings of the run.
    """
    families, seed = [*settings["families"]], settings["seed"]
    peaks = find_peaks(measured, families, 0, seed)
    together = correlate(measured, families, ratios, 0, seed).iloc[0].to_dict()
    inner = [*peaks[peaks["peak"] == INTERMEDIATE]["family"]]
    positive = together["low"] > 0
    everywhere, nowhere = len(inner) == len(families), not inner
    label = "confirmed" if everywhere and positive else "not confirmed" if nowhere and not positive else "mixed"
    regimes = find_regimes(measured, settings["radius"].index(settings["reference_radius"]), SHARE, seed)
    sentence = f"{_peaking(inner, families)}; {_correlating(together)}; {_counted(regimes)}"
    return Verdict(label, sentence, tuple(_caveats(measured, peaks, regimes, together, settings)))


def _peaking(inner: list[str], families: list[str]) -> str:
    which = f" ({', '.join(inner)})" if inner and len(inner) < len(families) else ""
    return f"alignment surely peaks at an intermediate strength in {len(inner)} of {len(families)} families{which}"


def _correlating(found: Mapping[Any, Any]) -> str:
    over = f"over {found['classifiers']} classifiers"
    if np.isnan(found["low"]):
        return f"{over} its rank correlation with relative off-manifold robustness is not defined"
    interval = f"(95 % interval {found['low']:.2f} to {found['high']:.2f})"
    return f"{over} its rank correlation with relative off-manifold robustness is {found['correlation']:.2f} {interval}"


def _counted(regimes: pd.DataFrame) -> str:
    counts = Counter(regimes["regime"])
    return "regimes: " + ", ".join(f"{count} {name}" for name, count in counts.most_common())


def _caveats(
    measured: list[MeasuredClassifier],
    peaks: pd.DataFrame,
    regimes: pd.DataFrame,
    together: Mapping[Any, Any],
    settings: Mapping[str, Any],
) -> Iterator[str]:
    yield from _of_instruments(measured)
    yield from _of_classifiers(measured, settings)
    few = [*peaks[peaks["peak"] == FEW]["family"]]
    if few:
        yield f"three strengths or more are needed for an intermediate one: {', '.join(few)}"
    unsure = int((regimes["regime"] == UNCERTAIN).sum())
    if unsure:
        yield f"{unsure} of {len(measured)} classifiers lie too near a border for a regime to be sure"
    if together["classifiers"] < FEW_CLASSIFIERS:
        yield f"a correlation over {together['classifiers']} classifiers says little"
    if settings.get("shared_images"):
        yield shared_caveat(settings["shared_images"], settings["images"])
    if settings["images"] < FEW_IMAGES:
        yield f"{settings['images']} test images are few"
    yield "every classifier was trained once: intervals are over images, and another training seed may move any point"


def _of_instruments(measured: list[MeasuredClassifier]) -> Iterator[str]:
    """What the instruments say of every classifier alike: it is about the denoiser, the tangent spaces or the images."""
    said = [[(kind, text) for kind, found in one.said.items() for text in found["caveats"]] for one in measured]
    for kind, text in dict.fromkeys(said[0]):
        if all((kind, text) in own for own in said) and RANDOMISED not in text:
            yield f"{kind.replace('_', ' ')}: {text}"
    drawn = [one for one, own in zip(measured, said, strict=True) if any(RANDOMISED in text for _, text in own)]
    if drawn:
        yield f"each of these {RANDOMISED}: {_named(drawn)}"
    masked = [one for one in measured if one.said["robustness"]["label"] == "unreliable"]
    if masked:
        yield f"the accuracy under PGD is not to be trusted for {_named(masked)}: signs that the attack has failed"


def _of_classifiers(measured: list[MeasuredClassifier], settings: Mapping[str, Any]) -> Iterator[str]:
    least = (1 - ABOVE_CHANCE) / len(settings["classes"]) + ABOVE_CHANCE
    chance = [one for one in measured if one.correct[0].mean() < least]
    if chance:
        yield f"near chance, where gradients and changes mean little: {_named(chance)}"
    flat = [one for one in measured if one.confidence.mean() < least]
    if flat:
        yield f"nearly the same probability for every class, so that changes are small for a trivial reason: {_named(flat)}"
    opposite = [one for one in measured if mean_interval(one.alignment[0])[2] < min(0.0, mean_interval(one.control[0])[1])]
    if opposite:
        yield f"gradient and score tend to point opposite ways, so that a larger value means less of that, for {_named(opposite)}"
    reference = settings["radius"].index(settings["reference_radius"])
    still = [
        name for name, change in zip(("on", "off"), measured[0].changes[:, reference].mean(axis=1), strict=True) if change < LITTLE
    ]
    if still:
        ways = " and ".join(still)
        told = f"hardly changes even the unregularised classifier {ways} the manifold"
        yield f"noise of length {settings['reference_radius']:g} {told}"


def _named(measured: list[MeasuredClassifier]) -> str:
    names = [f"{one.family} {one.strength:g}" if one.strength else "the unregularised classifier" for one in measured]
    rest = f" and {len(names) - SHOWN} others" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest
