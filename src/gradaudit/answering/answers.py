"""`answers`: from the results of an audit to an answer for each classifier."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gradaudit.answering.answer import DO_NOT_TRUST, NOT_SETTLED, TRUST, UNLIKE, Answer, Reading
from gradaudit.answering.planted import MEASURES, OF_MAPS, Likes, Model, fitted
from gradaudit.instruments.contract import Evidence, Score, audited, instrument
from gradaudit.results import Result

FEWEST_GOOD = 0.6  # of the nearest planted maps, at the less favourable end of all intervals: trust
MOST_GOOD = 0.05  # at the more favourable end: do not trust
MOST_BAD = 0.05  # of the nearest planted maps, beside FEWEST_GOOD
LARGEST, SMALLEST = 64, 8  # side of the planted images, in pixels
FEW_CLASSES, MANY_CLASSES = 2, 10  # of the planted worlds
MISSING = "DiffROAR of values or fidelity would say more."
MORE = 100_000  # images beyond which no advice is given
UNTRIED = "not tried on maps of known quality"


def answers(results: Mapping[str, Mapping[str, Result]], settings: Mapping[str, Any]) -> dict[str, Answer]:
    """The answer for each classifier.

    Args:
        results: for each classifier's name, by instrument.
        settings: of the audit: `shape` and `classes` of its images.
    """
    strange = _strange(settings)
    return {name: _answer(own, strange) for name, own in results.items()}


def _strange(settings: Mapping[str, Any]) -> str:
    """What the planted maps have nothing of; empty where all is like them."""
    shape, classes = settings.get("shape", ()), len(settings.get("classes", ()))
    if shape and not SMALLEST <= min(shape[1:]) <= max(shape[1:]) <= LARGEST:
        return f"images of {shape[1]}x{shape[2]} pixels; the planted ones have {SMALLEST} to {LARGEST}"
    if classes and not FEW_CLASSES <= classes <= MANY_CLASSES:
        return f"{classes:,} classes; the planted ones have {FEW_CLASSES} to {MANY_CLASSES}"
    return ""


def _answer(results: Mapping[str, Result], strange: str) -> Answer:
    evidence = [
        (kind, one)
        for kind in audited()
        if kind in results
        for one in instrument(kind).evidence(results[kind])
        if one.measure in MEASURES
    ]
    weighty = [one for _, one in evidence if one.measure in OF_MAPS and not one.aside]
    subjects = [*dict.fromkeys(one.subject for one in weighty)]
    cases = [_Case(subject, {one.measure: one for one in weighty if one.subject == subject}) for subject in subjects]
    found = [case.answered(strange) for case in cases]
    rest = [(kind, one) for kind, one in evidence if one not in weighty]
    readings = tuple(_readings(results, cases, rest, strange))
    if not found:
        return Answer(NOT_SETTLED, "no instrument ran that was tried on maps of known quality", MISSING, readings)
    return Answer(*_together(subjects, found), readings)


@dataclass(frozen=True)
class _Case:
    """What was measured of an attribution, by measure."""

    subject: str
    evidence: Mapping[str, Evidence]

    @cached_property
    def model(self) -> Model:
        return fitted(tuple(one for one in MEASURES if one in self.evidence))

    def likes(self, end: str, shrink: float = 1.0) -> Likes:
        """The nearest planted maps, at the value or at the lower or the higher end of all intervals."""
        return self.model.likes({name: _end(one.score, end, shrink) for name, one in self.evidence.items()})

    def label(self, shrink: float = 1.0) -> str:
        """The label, with intervals so many times as wide."""
        worst, best = self.likes("low", shrink), self.likes("high", shrink)
        if worst.good >= FEWEST_GOOD * worst.count and worst.bad <= MOST_BAD * worst.count:
            return TRUST
        return DO_NOT_TRUST if best.good <= MOST_GOOD * best.count else NOT_SETTLED

    def answered(self, strange: str) -> tuple[str, str, str]:
        """Label, sentence, and what would settle it."""
        if strange:
            return NOT_SETTLED, f"no map of known quality is like these: {strange}", "Read the instruments below one by one."
        label = self.label()
        return label, self._sentence(label), self._settle() if label == NOT_SETTLED else ""

    def _sentence(self, label: str) -> str:
        weighty = sorted(self.evidence.values(), key=lambda one: -self.weight(one.measure))
        numbers = [f"{MEASURES[one.measure].name} ({one.score.value:.2f})" for one in weighty]
        found = self.likes("value")
        told = (
            f"of the {found.count} maps of known quality nearest in {_joined(numbers)}, {found.good} were good and {found.bad} bad"
        )
        return f"maps such as those by {self.subject} were {_outcome(label, found)}: {told}"

    def weight(self, measure: str) -> float:
        return float(self.model.weights[self.model.measures.index(measure)])

    def _settle(self) -> str:
        if self.label(0.0) == NOT_SETTLED:
            asked = {MEASURES[one].instrument for one in self.evidence}
            lacking = [one for one in dict.fromkeys(MEASURES[measure].instrument for measure in OF_MAPS) if one not in asked]
            also = f" Run {_joined(lacking)} as well." if lacking else ""
            return f"More images would not settle it, as maps of known quality with such numbers were good and bad.{also}"
        images = max(one.images for one in self.evidence.values())
        for times in (1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32):
            if self.label(1 / math.sqrt(times)) != NOT_SETTLED and images * times <= MORE:
                return f"Some {_round(images * times):,} test images, instead of {images:,}, would settle it if the numbers stay."
        return "Far more test images would be needed."


def _outcome(label: str, found: Likes) -> str:
    if label != NOT_SETTLED:
        return "good" if label == TRUST else "bad"
    return "more often good than bad" if found.good > found.bad else "more often bad than good"


def _joined(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _round(count: float) -> int:
    step = 10 ** max(0, int(math.log10(count)) - 1)
    return int(math.ceil(count / step) * step)


def _ends(score: Score) -> tuple[float, float, float]:
    return score.value, score.low, score.high


def _end(score: Score, end: str, shrink: float) -> float:
    reached = score.value if end == "value" or math.isnan(getattr(score, end)) else getattr(score, end)
    return float(score.value + shrink * (reached - score.value))


def _together(subjects: Sequence[str], found: Sequence[tuple[str, str, str]]) -> tuple[str, str, str]:
    """One answer for several attributions: the first's, unless only others can be trusted."""
    trusted = [subject for subject, one in zip(subjects, found, strict=True) if one[0] == TRUST]
    if not trusted:
        return found[0]
    sentence = found[subjects.index(trusted[0])][1]
    if len(trusted) == len(found):
        return TRUST, sentence, ""
    return f"{TRUST} for {', '.join(trusted)}", sentence, ""


def _readings(
    results: Mapping[str, Result], cases: Sequence[_Case], rest: Sequence[tuple[str, Evidence]], strange: str
) -> Iterator[Reading]:
    """What was measured: what the answer rests on first, by weight; then the other instruments' numbers."""
    weighed = [
        (case.weight(name), _reading(MEASURES[name].instrument, one, strange, weighs=not strange))
        for case in cases
        for name, one in case.evidence.items()
    ]
    found = [reading for _, reading in sorted(weighed, key=lambda pair: -pair[0])]
    found += [_reading(kind, one, strange, weighs=False) for kind, one in rest]
    shown = {reading.instrument for reading in found}
    yield from found
    for kind in audited():
        if kind in results and kind not in shown:
            for words, score in instrument(kind).scores(results[kind]).items():
                yield Reading(kind, words, "", *_ends(score), math.nan, UNTRIED, False)


def _reading(kind: str, one: Evidence, strange: str, weighs: bool) -> Reading:
    """An instrument's number, and what the planted ones nearest in it say by themselves."""
    alone = _Case(one.subject, {one.measure: one})
    about = kind, MEASURES[one.measure].words, one.subject
    if strange:
        return Reading(*about, *_ends(one.score), math.nan, f"not calibrated for {strange}", weighs, UNLIKE)
    likes = alone.likes("value")
    return Reading(*about, *_ends(one.score), likes.good / likes.count, str(likes), weighs, alone.label())
