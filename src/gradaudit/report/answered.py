"""The page's first screen where there are answers: a card a classifier, then a line an instrument with the numbers behind them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from gradaudit.answering import Answer, Reading, Scale, scale
from gradaudit.markup.section import Finding, Section
from gradaudit.markup.tables import interval
from gradaudit.report.bars import bar

EXAMPLE = Scale(0.0, 1.0, ((0.0, 0.0), (0.3, 0.05), (0.5, 0.5), (0.7, 0.95), (1.0, 1.0)))  # of the key


@dataclass(frozen=True)
class Row:
    """A classifier's number: as text, on its scale, and in words.

    Args:
        classifier: whose it is.
        text: the number with its interval.
        drawing: the number on its scale; empty where the measure has none.
        words: what became of planted maps with such numbers, or why nobody knows.
        label: what the answer would be by this number alone; empty where nobody knows.
    """

    classifier: str
    text: str
    drawing: Markup
    words: str
    label: str


@dataclass(frozen=True)
class Group:
    """One measure of one attribution, a row a classifier.

    Args:
        measure: what the numbers are.
        subject: the attribution.
        rows: the numbers.
        ends: of the scale, as text; None where there is none.
    """

    measure: str
    subject: str
    rows: tuple[Row, ...]
    ends: tuple[str, str] | None


@dataclass(frozen=True)
class Line:
    """One instrument.

    Args:
        section: its part of the page.
        groups: its numbers.
        silent: the findings of classifiers for which it gave no number.
        weighs: whether an answer rests on it.
    """

    section: Section
    groups: tuple[Group, ...]
    silent: tuple[Finding, ...]
    weighs: bool


def lines(sections: Mapping[str, Section], answers: Mapping[str, Answer]) -> list[Line]:
    """A line for each instrument that judges, those on which an answer rests first, in the order in which they weigh.

    Args:
        sections: by instrument.
        answers: by classifier.
    """
    weighty = dict.fromkeys(one.instrument for answer in answers.values() for one in answer.readings if one.weighs)
    order = dict.fromkeys([*(kind for kind in weighty if kind in sections), *sections])
    found = [_line(kind, sections[kind], answers, kind in weighty) for kind in order]
    return [line for line in found if line.groups or line.section.findings]


def key() -> Markup:
    """An example of a number on its scale, for the eye alone."""
    return bar(EXAMPLE, 0.68, 0.56, 0.8, name="key-of-scales")


def _line(kind: str, section: Section, answers: Mapping[str, Answer], weighs: bool) -> Line:
    own = {name: [one for one in answer.readings if one.instrument == kind] for name, answer in answers.items()}
    silent = tuple(finding for finding in section.findings if not own[finding.classifier])
    return Line(section, tuple(_groups(section, own)), silent, weighs)


def _groups(section: Section, own: Mapping[str, list[Reading]]) -> Iterator[Group]:
    measured = dict.fromkeys((one.measure, one.subject) for readings in own.values() for one in readings)
    for turn, (measure, subject) in enumerate(measured):
        found = scale(measure)
        name = f"scale-{section.anchor}-{turn}"
        every = [(whose, one) for whose, readings in own.items() for one in readings]
        alike = [(whose, one) for whose, one in every if (one.measure, one.subject) == (measure, subject)]
        rows = tuple(_row(whose, one, found, f"{name}-{place}") for place, (whose, one) in enumerate(alike))
        yield Group(measure, subject, rows, None if found is None else (_short(found.low), _short(found.high)))


def _row(whose: str, reading: Reading, found: Scale | None, name: str) -> Row:
    text = interval(reading.value, reading.low, reading.high).text
    if found is None or math.isnan(reading.value):
        return Row(whose, text, Markup(""), reading.words, reading.label)
    label = f"{whose}: {reading.measure} {text}, on a scale from {_short(found.low)} to {_short(found.high)}"
    drawing = bar(found, reading.value, reading.low, reading.high, name=name, label=f"{label}; {_share(reading.good)}")
    return Row(whose, text, drawing, reading.words, reading.label)


def _share(good: float) -> str:
    if math.isnan(good):
        return "what became of maps of known quality with such numbers is not known"
    return f"{good:.0%} of the maps of known quality with such numbers were good"


def _short(value: float) -> str:
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")
