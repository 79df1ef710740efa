"""Alignment's section of the page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd
from torch import Tensor

from gradaudit.instruments.alignment import AlignmentResult
from gradaudit.instruments.alignment.options import ABOUT
from gradaudit.instruments.alignment.rows import EDGES, fixed_controls
from gradaudit.instruments.alignment.section_figures import Curve, alignment_figures
from gradaudit.markup.pictures import Picture, data_uri, image_pixels, score_pixels
from gradaudit.markup.rendering import templates
from gradaudit.markup.section import Finding, Section
from gradaudit.markup.strokes import control_stroke, series_stroke
from gradaudit.markup.tables import Cell, Table, number, percent

render = templates(__file__)


@dataclass(frozen=True)
class PictureGrid:
    """Pictures of the same images: a heading and what is under it for each column, and for each image its label and pictures."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[Picture, ...]], ...]
    size: tuple[int, int]


def alignment_section(results: Mapping[str, AlignmentResult]) -> Section:
    """Alignment on the page: verdicts, one figure with all curves, pictures, the tables, and how to read them."""
    curves = [*_audited_curves(results), *_control_curves(results)]
    settings = [result.settings for result in results.values()]
    return Section(
        anchor="alignment",
        title="Alignment",
        question=ABOUT.question,
        findings=tuple(Finding(name, _subject(result), result.verdict) for name, result in results.items()),
        overview=render("overview.html", figures=alignment_figures(curves), curves=curves),
        body=render(
            "section.html",
            grids=_grids(results),
            table_of_values=_values(results),
            denoising=_denoising(results),
            directions=_directions(results),
            transfer=_transfer(results),
            edges=any(EDGES in result.controls for result in results.values()),
            scores=sorted({score for one in settings for score in one["scores"]}),
            noises=sorted({one["noise"] for one in settings}),
            similarities=sorted({name.partition("(")[0] for one in settings for name in one["similarities"]}),
        ),
    )


def _subject(result: AlignmentResult) -> str:
    return f"{result.settings['gradients'][0]} against {result.settings['scores'][0]}"


def _audited_curves(results: Mapping[str, AlignmentResult]) -> Iterator[Curve]:
    for place, (name, result) in enumerate(results.items()):
        pairs = [(gradient, score) for gradient in result.gradients for score in result.settings["scores"]]
        for turn, (gradient, score) in enumerate(pairs):
            yield Curve(f"{name}, {gradient} against {score}", series_stroke(place, turn), _rows(result, gradient, score))


def _control_curves(results: Mapping[str, AlignmentResult]) -> Iterator[Curve]:
    """The controls of what the verdicts are about, once where classifiers share them; all others are in the table."""
    found: dict[tuple[str, str], list[str]] = {}
    rows = {}
    for name, result in results.items():
        for control in (result.controls[0], *fixed_controls(result.settings)):
            own = _rows(result, control, result.settings["scores"][0])
            key = (f"{control}, against {result.settings['scores'][0]}", own.to_csv(index=False))
            found.setdefault(key, []).append(name)
            rows[key] = own
    for place, (key, owners) in enumerate(found.items()):
        whose = "" if len(owners) == len(results) else f" ({' and '.join(owners)})"
        yield Curve(f"{key[0]}{whose}", control_stroke(place), rows[key])


def _rows(result: AlignmentResult, gradient: str, score: str) -> pd.DataFrame:
    return result.table[(result.table["gradient"] == gradient) & (result.table["score"] == score)]


def _grids(results: Mapping[str, AlignmentResult]) -> list[PictureGrid]:
    """One grid for all classifiers that were shown the same images."""
    groups: dict[str, dict[str, AlignmentResult]] = {}
    for name, result in results.items():
        groups.setdefault(json.dumps(result.details["examples"]["images"]), {})[name] = result
    return [_grid(group) for group in groups.values()]


def _grid(results: Mapping[str, AlignmentResult]) -> PictureGrid:
    shown = next(iter(results.values())).pictures
    columns = dict(_columns(results))
    rows = []
    for place, label in enumerate(shown.labels):
        words = f"image {place + 1}, labelled {label}"
        row = [Picture(data_uri(image_pixels(shown.images[place])), words[:1].upper() + words[1:])]
        for (heading, below), maps in columns.items():
            row.append(Picture(data_uri(score_pixels(maps[place])), f"{heading}, {below}, at {words}"))
        rows.append((label, tuple(row)))
    height, width = shown.images.shape[2:]
    return PictureGrid(tuple(columns), tuple(rows), (int(height), int(width)))


def _columns(results: Mapping[str, AlignmentResult]) -> Iterator[tuple[tuple[str, str], Tensor]]:
    """Heading, what is under it, and maps: each classifier's gradients, then the scores, once where classifiers share them."""
    for name, result in results.items():
        yield from (((name, f"{gradient} gradient"), maps) for gradient, maps in result.pictures.gradients.items())
    found: dict[str, tuple[str, str, list[str], Tensor]] = {}
    for name, result in results.items():
        for score, maps in result.pictures.scores.items():
            sigma = f"sigma {result.pictures.sigma:g}"
            key = json.dumps([score, sigma, result.details["examples"]["scores"][score]])
            found.setdefault(key, (f"{score} score", sigma, [], maps))[2].append(name)
    for heading, sigma, owners, maps in found.values():
        whose = "" if len(owners) == len(results) else f", {' and '.join(owners)}"
        yield (heading, f"{sigma}{whose}"), maps


def _values(results: Mapping[str, AlignmentResult]) -> Table:
    columns = ("Classifier", "Gradient", "Score", "Sigma", "Similarity", "Value", "95% low", "95% high")
    rows = []
    for name, result in results.items():
        for row in result.table.to_dict("records"):
            head = (Cell(name), Cell(row["gradient"]), Cell(row["score"]), number(row["sigma"]), Cell(row["similarity"]))
            rows.append((*head, *(number(row[column]) for column in ("value", "low", "high"))))
    return Table("Similarity of gradients and scores: the mean over images", columns, tuple(rows))


def _denoising(results: Mapping[str, AlignmentResult]) -> Table:
    columns = ("Classifier", "Sigma", "Denoised", "Noisy image itself", "Mean image")
    rows = []
    for name, result in results.items():
        for found in result.details["denoising"]:
            errors = (number(found[key], digits=5) for key in ("error", "noisy", "mean"))
            rows.append((Cell(name), number(found["sigma"]), *errors))
    return Table("Whether the denoiser denoises: mean squared error against the images", columns, tuple(rows), sortable=False)


def _directions(results: Mapping[str, AlignmentResult]) -> Table:
    columns = ("Classifier", "Map", "Sigma", "Exactly zero", "Vanishing")
    rows = []
    for name, result in results.items():
        for found in result.details["directions"]:
            shares = (Cell(percent(found[key]), repr(found[key]), "number") for key in ("zero", "vanishing"))
            rows.append((Cell(name), Cell(f"{found['name']} {found['kind']}"), number(found["sigma"]), *shares))
    return Table("Images whose gradient or score has no direction of its own", columns, tuple(rows), sortable=False)


def _transfer(results: Mapping[str, AlignmentResult]) -> Table | None:
    columns = ("Classifier", "Seen by", "L2 radius", "Share", "95% low", "95% high", "Before")
    rows = []
    for name, result in results.items():
        for found in result.transfer.to_dict("records"):
            numbers = (number(found[key]) for key in ("radius", "value", "low", "high", "before"))
            rows.append((Cell(name), Cell(found["oracle"]), *numbers))
    words = "Transfer: images changed by the classifier's own gradient in which the wanted class is seen"
    return Table(words, columns, tuple(rows), sortable=False) if rows else None
