"""The verdict: whether gradients lie clearly nearer to the scores than chance would put them.

What counts is the gain over the stronger of the two controls, image by image, as a share of the way from chance to 1. `aligned`: at
some sigma its interval lies above a tenth. `not aligned`: below, at every sigma. `inconclusive`: neither. With several sigmas the
intervals are widened (Bonferroni), for the choice of the best is a choice. A sigma where most maps are zero does not count. Where
the image's own edges come as near, `aligned` bears a caveat that says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gradaudit.instruments.alignment.result import values_of
from gradaudit.instruments.alignment.rows import EDGES, RANDOM, Row, fixed_controls, other_image
from gradaudit.instruments.alignment.statistics import VANISHING
from gradaudit.intervals import CONFIDENCE, mean_interval
from gradaudit.results import Verdict

LEAST = 0.1  # of the way from chance to 1
ZERO = 0.5  # share of maps without a direction, beyond which a sigma says nothing
WIDE = 0.15  # an interval's width


class Gain(NamedTuple):
    """The interval of the gain over chance at a sigma, and the control that stands for chance."""

    sigma: float
    low: float
    high: float
    control: str


def judge(table: pd.DataFrame, details: Mapping[str, Any], settings: Mapping[str, Any]) -> Verdict:
    """The verdict, from all that was measured."""
    gains = _gains(details, settings)
    clear = _clear(gains, details, settings)
    aligned = any(gain.low >= LEAST for gain in clear)
    unlike = bool(clear) and all(gain.high < LEAST for gain in clear)
    label = "aligned" if aligned else "not aligned" if unlike else "inconclusive"
    best = _best(clear or gains)
    found, chance = (_row(table, settings, name, best.sigma) for name in (settings["gradients"][0], best.control))
    caveats = (*_directions(details), *_denoiser(details), *_sample(table, details, settings), *_sign(found, chance))
    if aligned:
        caveats += tuple(_edges(details, settings, best.sigma))
    return Verdict(label, _sentence(found, chance, settings), caveats)


def telling_sigma(details: Mapping[str, Any], settings: Mapping[str, Any]) -> float:
    """The sigma that the verdict's sentence is about: where the gain over chance is surest."""
    gains = _gains(details, settings)
    return _best(_clear(gains, details, settings) or gains).sigma


def _judged(settings: Mapping[str, Any]) -> tuple[str, str, str]:
    """The gradient, score and similarity that the verdict is about."""
    gradient, score, similarity = (settings[key][0] for key in ("gradients", "scores", "similarities"))
    return gradient, score, similarity


def _best(gains: list[Gain]) -> Gain:
    return max(gains, key=lambda gain: gain.low)


def _gains(details: Mapping[str, Any], settings: Mapping[str, Any]) -> list[Gain]:
    values = values_of(details, settings)
    confidence = 1 - (1 - CONFIDENCE) / len(settings["sigma"])
    gradient, score, similarity = _judged(settings)
    gains = []
    for sigma in settings["sigma"]:
        own = values[Row(gradient, score, sigma, similarity)]
        over = {name: values[Row(name, score, sigma, similarity)] for name in (other_image(gradient), RANDOM)}
        intervals = {name: mean_interval(_gain(own, chance), confidence=confidence)[1:] for name, chance in over.items()}
        # Both must be beaten, so the lower of the two counts, at either end.
        low, high = (min(ends) for ends in zip(*intervals.values(), strict=True))
        gains.append(Gain(sigma, low, high, min(intervals, key=lambda name: sum(intervals[name]))))
    return gains


def _clear(gains: list[Gain], details: Mapping[str, Any], settings: Mapping[str, Any]) -> list[Gain]:
    """The gains at those sigmas where at least half of the gradients, and of the scores, are not zero everywhere."""
    judged = {("gradient", settings["gradients"][0]), ("score", settings["scores"][0])}
    found = (one for one in details["directions"] if (one["kind"], one["name"]) in judged)
    pointless = {one["sigma"] for one in found if one["zero"] > ZERO}
    return [gain for gain in gains if gain.sigma not in pointless]


def _gain(own: np.ndarray, chance: np.ndarray) -> np.ndarray:
    room = 1 - float(chance.mean())
    gain: np.ndarray = own - chance
    return gain / room if room > 0 else gain


def _row(table: pd.DataFrame, settings: Mapping[str, Any], gradient: str, sigma: float) -> dict[str, Any]:
    _, score, similarity = _judged(settings)
    chosen = table[(table["gradient"] == gradient) & (table["score"] == score)]
    chosen = chosen[(chosen["sigma"] == sigma) & (chosen["similarity"] == similarity)]
    return {str(name): value for name, value in chosen.iloc[0].items()}


def _sentence(found: Mapping[str, Any], chance: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    measure = found["similarity"].replace("_", " ")
    pair = f"the {measure} of the {found['gradient'].replace('_', ' ')} gradient and the {found['score']} score"
    interval = f"(95 % interval {found['low']:.3f} to {found['high']:.3f})"
    by_chance = f"chance gives {chance['value']:.3f} ({chance['gradient'].replace('_', ' ')})"
    several = f", the clearest of {len(settings['sigma'])} sigmas," if len(settings["sigma"]) > 1 else ""
    return f"at sigma {found['sigma']:g}{several} {pair} is {found['value']:.3f} {interval}; {by_chance}"


def _directions(details: Mapping[str, Any]) -> Iterator[str]:
    """Maps without a direction of their own, at the sigma where they are most."""
    for kind, name in dict.fromkeys((found["kind"], found["name"]) for found in details["directions"]):
        same = [found for found in details["directions"] if (found["kind"], found["name"]) == (kind, name)]
        for trouble, words in (
            ("zero", "exactly zero and points nowhere"),
            (
                "vanishing",
                f"under {VANISHING:g} of the largest, as where a probability saturates: its direction counts, but says little",
            ),
        ):
            worst = max(same, key=lambda found: float(found[trouble]))
            if worst[trouble]:
                yield f"for {worst[trouble]:.1%} of the images the {name} {kind} (sigma {worst['sigma']:g}) is {words}"


def _denoiser(details: Mapping[str, Any]) -> Iterator[str]:
    for found in details["denoising"]:
        for name, words in (("noisy", "the noisy image itself"), ("mean", "the mean of all images")):
            if found["error"] >= found[name]:
                told = f"comes no nearer to the images than {words}, so that its score means little"
                yield f"at sigma {found['sigma']:g} the denoiser {told}"


def _sample(table: pd.DataFrame, details: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    if len(set(details["labels"])) == 1:
        yield "all images are of one class, and so are the gradients at another image that stand for chance"
    audited = table[table["gradient"].isin(settings["gradients"])]
    width = float((audited["high"] - audited["low"]).max())
    if width > WIDE:
        yield f"with {len(details['labels'])} images, intervals are up to {width:.2f} wide"


def _sign(found: Mapping[str, Any], chance: Mapping[str, Any]) -> Iterator[str]:
    if found["high"] < min(0, chance["low"]):
        yield "the value lies below chance: gradient and score tend to point opposite ways"


def _edges(details: Mapping[str, Any], settings: Mapping[str, Any], sigma: float) -> Iterator[str]:
    if EDGES in fixed_controls(settings):
        gradient, score, similarity = _judged(settings)
        values = values_of(details, settings)
        own, edges = (values[Row(name, score, sigma, similarity)] for name in (gradient, EDGES))
        if mean_interval(own - edges)[1] <= 0:
            reach = f"the image's edges, which know no classifier, reach {edges.mean():.3f}"
            yield f"{reach}: the gradient is not surely nearer than they are"
