"""The counterfactuals' section of the page."""

from __future__ import annotations

import base64
import json
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from gradaudit.instruments.counterfactual.animation import encoded
from gradaudit.instruments.counterfactual.gallery import confidences, difference, of_other, set_size
from gradaudit.instruments.counterfactual.options import ABOUT
from gradaudit.instruments.counterfactual.result import CounterfactualResult
from gradaudit.instruments.counterfactual.section_figures import Series, share_figures, step_figures
from gradaudit.instruments.counterfactual.summary import AGREED, KEPT
from gradaudit.markup.pictures import Picture, data_uri, image_pixels, score_pixels
from gradaudit.markup.rendering import templates
from gradaudit.markup.section import Finding, Section
from gradaudit.markup.strokes import series_stroke
from gradaudit.markup.tables import Cell, Table

render = templates(__file__)

SHOWN = 8  # images of each grid
ANIMATED = 6
BUDGET = 3 * 2**20  # bytes of pictures of all grids, and of all animations


@dataclass(frozen=True)
class Change:
    """One counterfactual: the pictures before and after and what differs, and what is said below; None where there is none."""

    before: Picture
    after: Picture
    difference: Picture
    words: str


@dataclass(frozen=True)
class PictureGrid:
    """The same images changed by each classifier and method: a heading and what is under it, and for each image its changes."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, Picture, tuple[Change | None, ...]], ...]
    size: tuple[int, int]


def counterfactual_section(
    results: Mapping[str, CounterfactualResult],
    *,
    anchor: str = "counterfactual",
    title: str = "Counterfactuals",
    question: str = ABOUT.question,
) -> Section:
    """Counterfactuals on the page: verdicts, shares, pictures that blend, diagnostics, measures, and how to read them.

    Args:
        results: by classifier.
        anchor: the section's id, with which all ids within begin.
        title: the heading.
        question: below it.
    """
    series, against = [*_series(results)], any(result.against for result in results.values())
    return Section(
        anchor=anchor,
        title=title,
        question=question,
        findings=tuple(Finding(name, result.methods[0], result.verdict) for name, result in results.items()),
        overview=render("overview.html", figures=share_figures(series, anchor), series=series, against=against),
        body=render(
            "section.html",
            anchor=anchor,
            grids=[*_grids(results)],
            animations=[*_animations(results)],
            steps=step_figures(series, anchor),
            series=series,
            measures=_measures(results),
            skipped={reason: name for result in results.values() for name, reason in result.details["skipped"].items()},
            methods=sorted({method.partition("(")[0] for result in results.values() for method in result.methods}),
            repelled=any(set_size(result) > 1 for result in results.values()),
            coned=any(result.settings["robust"] for result in results.values()),
            columns={str(name) for result in results.values() for name in result.summary["measure"]},
            against=against,
            judged=any(name.startswith(AGREED) for result in results.values() for name in result.table.columns),
        ),
    )


def _series(results: Mapping[str, CounterfactualResult]) -> Iterator[Series]:
    for place, (name, result) in enumerate(results.items()):
        for turn, method in enumerate(result.methods):
            own = result.summary[result.summary["method"] == method].set_index("measure")
            # Where there is one classifier, colours are free to tell its methods apart.
            stroke = series_stroke(turn, 0) if len(results) == 1 else series_stroke(place, turn)
            yield Series(f"{name}, {method}", stroke, own, result.steps[method])


def _grids(results: Mapping[str, CounterfactualResult]) -> Iterator[PictureGrid]:
    """One grid for all classifiers that were given the same images."""
    groups: dict[str, dict[str, CounterfactualResult]] = {}
    for name, result in results.items():
        groups.setdefault(result.settings["images_fingerprint"], {})[name] = result
    for group in groups.values():
        yield _grid(group, BUDGET // len(groups))


def _grid(results: Mapping[str, CounterfactualResult], budget: int) -> PictureGrid:
    first = next(iter(results.values()))
    rows: list[tuple[str, Picture, tuple[Change | None, ...]]] = []
    for example in first.examples(SHOWN):
        row = _row(results, first, example[first.methods[0]])
        budget -= sum(len(change.after.source) + len(change.difference.source) for change in row[2] if change)
        if rows and budget < 0:
            break
        rows.append(row)
    columns = tuple((name, heading) for name, _, _, _, heading in _columns(results))
    height, width = first.images.shape[2:]
    return PictureGrid(columns, tuple(rows), (int(height), int(width)))


def _columns(results: Mapping[str, CounterfactualResult]) -> Iterator[tuple[str, CounterfactualResult, str, int, str]]:
    """Each classifier and method, and of a set each member in turn, with its heading."""
    for name, result in results.items():
        for method, turn in product(result.methods, range(set_size(result))):
            member = f", {turn + 1} of {set_size(result)}" if set_size(result) > 1 else ""
            yield name, result, method, turn, method + member


def _row(
    results: Mapping[str, CounterfactualResult], first: CounterfactualResult, shown: int
) -> tuple[str, Picture, tuple[Change | None, ...]]:
    """An image, and what each classifier and method made of it towards the same target, or whatever target it has there."""
    found = first.table.to_dict("records")[shown]
    words = f"image {found['image'] + 1}, seen as {found['source']}"
    before = Picture(data_uri(image_pixels(first.originals[shown].float() / 255)), f"Original: {words}")
    changes = [
        _change(name, result, _same(result, method, {**found, "seed": found["seed"] + turn}), before)
        for name, result, method, turn, _ in _columns(results)
    ]
    return str(found["source"]), before, tuple(changes)


def _same(result: CounterfactualResult, method: str, found: Mapping[Hashable, Any]) -> int | None:
    """The method's row for the same image, with the same target and seed as far as there is one."""
    rows = result.rows(method)
    rows = rows[rows["image"] == found["image"]]
    liking = (rows["target"] == found["target"]).astype(int) * 2 + (rows["seed"] == found["seed"]).astype(int)
    return None if rows.empty else int(rows.index[int(np.argmax(liking))])


def _change(name: str, result: CounterfactualResult, row: int | None, before: Picture) -> Change | None:
    if row is None or result.table["failed"][row]:
        return None
    method, target = result.table["method"][row], result.table["target"][row]
    whose = f"{method}, for {name} to see {target}"
    return Change(
        before,
        Picture(data_uri(image_pixels(result.images[row].float() / 255)), f"Counterfactual by {whose}"),
        Picture(data_uri(score_pixels(difference(result, row))), f"Difference made by {whose}"),
        "; ".join(filter(None, (confidences(result, row), of_other(result, row), *_seen(result, row)))),
    )


def _seen(result: CounterfactualResult, row: int) -> Iterator[str]:
    """Whether the classifier sees the target, and if so who else does, and who keeps the class before."""
    if not result.table["flipped"][row]:
        yield "no disagreement" if result.against else "not flipped"
    elif result.oracles:
        agreed = _oracles_of(result, row, AGREED)
        yield f"also seen by {' and '.join(agreed)}" if agreed else "seen by no other"
        if result.against and (keep := _oracles_of(result, row, KEPT)):
            yield f"{result.table['source'][row]} is seen by {' and '.join(keep)}"


def _oracles_of(result: CounterfactualResult, row: int, begin: str) -> list[str]:
    return [oracle for oracle in result.oracles if result.table[begin + oracle][row] == 1]


def _animations(results: Mapping[str, CounterfactualResult]) -> Iterator[Picture]:
    budget = BUDGET
    for name, result in results.items():
        if not result.frames:
            continue
        data = encoded(result, ANIMATED)
        budget -= len(data)
        if budget > 0:
            words = f"Animated: originals becoming the counterfactuals of {name}, a row for each of {', '.join(result.methods)}"
            yield Picture("data:image/webp;base64," + base64.b64encode(data).decode(), words)


def _measures(results: Mapping[str, CounterfactualResult]) -> Table:
    """A row a measure, a column for each classifier and method."""
    columns = [(name, method) for name, result in results.items() for method in result.methods]
    found = {
        (name, line["method"], line["measure"]): line
        for name, result in results.items()
        for line in result.summary.to_dict("records")
    }
    rows = [
        (Cell(measure), *(_cell(found.get((name, method, measure))) for name, method in columns))
        for measure in dict.fromkeys(key[2] for key in found)
    ]
    headings = tuple(f"{name}, {method}" for name, method in columns)
    return Table("Shares and means over images, with 95% intervals", ("Measure", *headings), tuple(rows), sortable=False)


def _cell(line: Mapping[Hashable, Any] | None) -> Cell:
    if line is None or line["value"] != line["value"]:
        return Cell("not measured", kind="missing")
    ends = f" [{line['low']:.3g}, {line['high']:.3g}]" if line["low"] == line["low"] else ""
    return Cell(f"{line['value']:.3g}{ends}".replace("-", "\N{MINUS SIGN}"), json.dumps(line["value"]), "number")
