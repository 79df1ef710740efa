"""`write_page`: results of one or several classifiers on one self-contained HTML page."""

from __future__ import annotations

import base64
import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from markupsafe import Markup

from gradaudit.answering import Answer
from gradaudit.errors import require
from gradaudit.files import write_text
from gradaudit.instruments.contract import instrument
from gradaudit.markup.pictures import BUDGET, PERCENTILE, Pictures, outlines, picture_rows
from gradaudit.markup.rendering import templates
from gradaudit.markup.section import Section, spoken
from gradaudit.markup.tables import Table, compared
from gradaudit.progress import duration
from gradaudit.report.answered import key, lines
from gradaudit.report.exhibits import Exhibit, exhibits
from gradaudit.results import Result

SCRIPT = (Path(__file__).parent / "templates" / "script.js").read_text(encoding="utf-8")
render = templates(__file__, "templates")
OWN_ANCHORS = {"content", "answers", "findings", "caveats", "classifiers", "skipped", "pictures", "settings", "reproduce"}

Results = Mapping[str, tuple[Result, ...]]


def write_page(
    path: str | os.PathLike[str],
    *,
    title: str,
    results: Mapping[str, Result | Sequence[Result]],
    pictures: Pictures | Sequence[Pictures] | None,
    facts: Mapping[str, Mapping[str, str]],
    command: str,
    seconds: float | None,
    extra: Sequence[Section] = (),
    skipped: Mapping[str, str] = MappingProxyType({}),
    first: Sequence[Section] = (),
    caveats: Sequence[str] = (),
    answers: Mapping[str, Answer] | None = None,
) -> Path:
    """The path of the page, one HTML file that loads nothing else; the same arguments give the same bytes.

    Args:
        path: the HTML file; written whole or not at all.
        title: the page's heading.
        results: for each classifier's name, its result, or its results by several instruments.
        pictures: images beside the scores of each classifier and control, once or for several data sets; None leaves that section
            out.
        facts: for each classifier's name, what else is known of it (recipe, accuracy, ...), as words; may lack classifiers.
        command: what a reader types to get the same numbers.
        seconds: wall time of the audit; None if unknown.
        extra: sections that no single instrument makes, shown after those of the instruments.
        skipped: for each instrument that did not run, the reason.
        first: sections like `extra`, shown before all findings.
        caveats: what a reader must know before any figure; above all that follows.
        answers: for each classifier's name, whether its maps can be trusted: the page then begins with them and the numbers behind
            them; None for a page that begins with each instrument's verdict.

    Raises:
        InputError: there is no result, a classifier has two of one instrument, `pictures` or `facts` name a classifier that has
            none, `answers` lack one or name another, an anchor of `extra` is taken, or an instrument was skipped without a reason;
            names the argument.
        StoreError: the file can't be written.
    """
    shown = [pictures] if isinstance(pictures, Pictures) else [*(pictures or ())]
    _check(title, results, shown, facts, seconds)
    _check_skipped(skipped)
    every = {name: (one,) if isinstance(one, Result) else tuple(one) for name, one in results.items()}
    if answers is not None:
        named = [*answers]
        require(set(named) == set(results), "answers", named, f"the answers of all classifiers and no others: {', '.join(results)}")
    parts = _sections(every)
    _check_anchors([*first, *extra], {part.anchor for part in parts.values()})
    first_screen = {} if answers is None else _first_screen(answers, every, parts, shown)
    page = render(
        "page.html",
        title=title,
        answers=answers or {},
        **first_screen,
        first=[*first],
        sections=[*parts.values(), *extra],
        caveats=[*caveats],
        classifiers=[*results],
        skipped={_title(kind): reason for kind, reason in skipped.items()},
        facts=compared("The audited classifiers", "Fact", {name: facts.get(name, {}) for name in results}) if facts else None,
        galleries=[(one, picture_rows(one, _left(first_screen) // len(shown)), outlines(one)) for one in shown],
        coloured=any(one.images.shape[1] > 1 for one in shown),
        pictured=_first_attributions(every),
        percentile=PERCENTILE,
        settings=_settings(every, parts),
        versions=compared("Versions of the software that computed them", "Package", _versions(every)),
        command=command,
        time=None if seconds is None else duration(seconds),
        script=Markup(SCRIPT),
        script_hash=base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode(),  # what the page's security policy allows
    )
    return write_text(path, page)


def _first_screen(
    answers: Mapping[str, Answer], results: Results, parts: Mapping[str, Section], pictures: Sequence[Pictures]
) -> dict[str, Any]:
    """What the template of answers is filled with beside them."""
    shown = exhibits(results, pictures[0] if pictures else None, BUDGET // 2)
    every = [one for own in shown.values() for one in own]
    mapped = [attribution for name, attribution in _first_attributions(results).items() if attribution and _any_map(shown[name])]
    return {
        "exhibits": shown,
        "pictured_first": list(dict.fromkeys(mapped)),
        "changed_any": any(one.changed for one in every),
        "lines": lines(parts, answers),
        "key": key(),
    }


def _left(first_screen: Mapping[str, Any]) -> int:
    """Bytes of pictures that the first screen leaves to the rest."""
    shown = [picture for own in first_screen.get("exhibits", {}).values() for one in own for picture in one.pictures]
    return BUDGET - sum(len(picture.source) for picture in shown)


def _any_map(shown: Sequence[Exhibit]) -> bool:
    return any(one.map for one in shown)


def _sections(results: Results) -> dict[str, Section]:
    """One section for each instrument that occurs."""
    return {kind: instrument(kind).section(_of_kind(results, kind)) for kind in _kinds(results)}


def _kinds(results: Results) -> list[str]:
    return list(dict.fromkeys(result.kind for found in results.values() for result in found))


def _of_kind(results: Results, kind: str) -> dict[str, Result]:
    return {name: result for name, found in results.items() for result in found if result.kind == kind}


def _first_attributions(results: Results) -> dict[str, str]:
    """The attribution of each classifier that was judged first, which the pictures show; empty where none was."""
    found = {
        name: [one.settings["attributions"] for one in every if "attributions" in one.settings] for name, every in results.items()
    }
    return {name: lists[0][0] if lists else "" for name, lists in found.items()}


def _settings(results: Results, parts: Mapping[str, Section]) -> list[Table]:
    """What decided the numbers, a table for each instrument."""
    caption = "Settings that decided the numbers"
    return [
        compared(
            f"{caption} of {part.title}" if len(parts) > 1 else caption,
            "Setting",
            {name: result.settings for name, result in _of_kind(results, kind).items()},
        )
        for kind, part in parts.items()
    ]


def _versions(results: Results) -> dict[str, dict[str, str]]:
    """For each classifier the versions of all packages; several of one package, from results of other days, are all named."""
    return {name: _joined([result.versions for result in found]) for name, found in results.items()}


def _joined(versions: Sequence[Mapping[str, str]]) -> dict[str, str]:
    packages = dict.fromkeys(package for one in versions for package in one)
    return {package: ", ".join(dict.fromkeys(one[package] for one in versions if package in one)) for package in packages}


def _title(kind: str) -> str:
    words = spoken(kind)
    return words[:1].upper() + words[1:]


def _check_skipped(skipped: Mapping[str, str]) -> None:
    for kind, reason in skipped.items():
        require(isinstance(reason, str) and bool(reason.strip()), f"skipped[{kind!r}]", reason, "the reason, in words")


def _check_anchors(extra: Sequence[Section], taken: set[str]) -> None:
    taken = taken | OWN_ANCHORS
    for place, section in enumerate(extra):
        expected = f"an anchor of its own, none of {', '.join(sorted(taken))}"
        require(section.anchor not in taken, f"extra[{place}].anchor", section.anchor, expected)
        taken = taken | {section.anchor}


def _check(
    title: str,
    results: Mapping[str, Result | Sequence[Result]],
    pictures: Sequence[Pictures],
    facts: Mapping[str, Mapping[str, str]],
    seconds: float | None,
) -> None:
    require(isinstance(title, str) and bool(title.strip()), "title", title, "a heading")
    require(isinstance(results, Mapping) and len(results) > 0, "results", results, "the result of at least one classifier")
    for name, given in results.items():
        found: list[Any] = [*given] if isinstance(given, (list, tuple)) else [given]
        valid = len(found) > 0 and all(isinstance(one, Result) for one in found)
        require(valid, f"results[{name!r}]", given, "a result, as an instrument returns it, or a list of them")
        kinds = [one.kind for one in found]
        require(len(set(kinds)) == len(kinds), f"results[{name!r}]", kinds, "results of different instruments")
    known = f"among the classifiers that have results: {', '.join(map(str, results))}"
    shown = [name for one in pictures for name in one.scores]
    for argument, named in (("pictures", shown), ("facts", [*facts])):
        strangers = [name for name in named if name not in results]
        require(not strangers, argument, strangers, known)
    sensible = seconds is None or (math.isfinite(seconds) and seconds >= 0)
    require(sensible, "seconds", seconds, "a number of seconds, 0 or more, or None")
