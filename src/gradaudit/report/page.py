"""`write_page`: results of one or several classifiers on one self-contained HTML page."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

from gradaudit.errors import require
from gradaudit.files import write_text
from gradaudit.progress import duration
from gradaudit.registry import Registry
from gradaudit.report import sections
from gradaudit.report.pictures import PERCENTILE, Pictures, picture_rows
from gradaudit.report.rendering import render, script_hash
from gradaudit.report.section import Section
from gradaudit.report.tables import compared
from gradaudit.results import Result

SECTIONS = Registry(sections.__name__, "section")


def write_page(
    path: str | os.PathLike[str],
    *,
    title: str,
    results: Mapping[str, Result],
    pictures: Pictures | None,
    facts: Mapping[str, Mapping[str, str]],
    command: str,
    seconds: float | None,
) -> Path:
    """The path of the page, one HTML file that loads nothing else; the same arguments give the same bytes.

    Args:
        path: the HTML file; written whole or not at all.
        title: the page's heading.
        results: for each classifier's name, its result.
        pictures: images beside the scores of each classifier and control; None leaves that section out.
        facts: for each classifier's name, what else is known of it (recipe, accuracy, ...), as words; may lack classifiers.
        command: what a reader types to get the same numbers.
        seconds: wall time of the audit; None if unknown.

    Raises:
        InputError: there is no result, or `pictures` or `facts` name a classifier that has none; names the argument.
        StoreError: the file can't be written.
    """
    _check(title, results, pictures, facts, seconds)
    parts = _sections(results)
    page = render(
        "page.html",
        title=title,
        sections=parts,
        facts=compared("The audited classifiers", "Fact", {name: facts.get(name, {}) for name in results}) if facts else None,
        pictures=pictures,
        picture_rows=[] if pictures is None else picture_rows(pictures),
        pictured=_first_subjects(parts),
        percentile=PERCENTILE,
        settings=compared("Settings that decided the numbers", "Setting", {name: one.settings for name, one in results.items()}),
        versions=compared("Versions of the software that computed them", "Package", _versions(results)),
        command=command,
        time=None if seconds is None else duration(seconds),
        script_hash=script_hash(),
    )
    return write_text(path, page)


def _sections(results: Mapping[str, Result]) -> list[Section]:
    """One section for each instrument that occurs, made by the function of the instrument's name."""
    kinds = dict.fromkeys(result.kind for result in results.values())
    return [
        SECTIONS.function("results", kind)({name: result for name, result in results.items() if result.kind == kind})
        for kind in kinds
    ]


def _first_subjects(parts: list[Section]) -> dict[str, str]:
    """What was judged first of each classifier: the attribution that the pictures show."""
    found: dict[str, str] = {}
    for finding in (finding for part in parts for finding in part.findings):
        found.setdefault(finding.classifier, finding.subject)
    return found


def _versions(results: Mapping[str, Result]) -> dict[str, dict[str, str]]:
    return {name: result.versions for name, result in results.items()}


def _check(
    title: str,
    results: Mapping[str, Result],
    pictures: Pictures | None,
    facts: Mapping[str, Mapping[str, str]],
    seconds: float | None,
) -> None:
    require(isinstance(title, str) and bool(title.strip()), "title", title, "a heading")
    require(isinstance(results, Mapping) and len(results) > 0, "results", results, "the result of at least one classifier")
    for name, result in results.items():
        require(isinstance(result, Result), f"results[{name!r}]", result, "a result, as an instrument returns it")
    known = f"among the classifiers that have results: {', '.join(map(str, results))}"
    shown = {} if pictures is None else pictures.scores
    for argument, names in (("pictures", shown), ("facts", facts)):
        strangers = [name for name in names if name not in results]
        require(not strangers, argument, strangers, known)
    sensible = seconds is None or (math.isfinite(seconds) and seconds >= 0)
    require(sensible, "seconds", seconds, "a number of seconds, 0 or more, or None")
