"""Contrast's section of the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from markupsafe import Markup

from gradaudit.instruments.contrast.options import ABOUT
from gradaudit.instruments.contrast.result import OTHER, ContrastResult
from gradaudit.markup.rendering import templates
from gradaudit.markup.section import Finding, Section
from gradaudit.markup.share_figures import Point, key_of_points, share_figures
from gradaudit.markup.strokes import Stroke, control_stroke, series_stroke
from gradaudit.markup.tables import Cell, Table, interval, percent

render = templates(__file__)

CHANCE = Stroke("ink")


def contrast_section(results: Mapping[str, ContrastResult]) -> Section:
    """Contrast on the page: verdicts, one figure with all maps, the table, and how to read it."""
    points = [*_points(results)]
    return Section(
        anchor="contrast",
        title="Contrast",
        question=ABOUT.question,
        findings=tuple(Finding(name, result.audited[0], result.verdict) for name, result in results.items()),
        overview=render("overview.html", figures=_figures(points, results), key=[*key_of_points(points), (CHANCE, OTHER)]),
        body=render(
            "section.html",
            measured=_measured(results),
            voted={name: percent(round(result.voted, 4)) for name, result in results.items()},
            left_out=dict(pair for result in results.values() for pair in result.settings.get("left_out", {}).items()),
            neighbours=" or ".join(dict.fromkeys(str(result.settings["neighbours"]) for result in results.values())),
        ),
    )


def _points(results: Mapping[str, ContrastResult]) -> Iterator[Point]:
    for place, (name, result) in enumerate(results.items()):
        rows = result.rows()
        for one in (*result.audited, *result.controls):
            grey = one in result.controls
            stroke = control_stroke(place) if grey else series_stroke(place, 0)
            row = f"{one} (control)" if grey else one
            yield Point(row, name, stroke, *(float(rows[column][one]) for column in ("value", "low", "high")))


def _figures(points: list[Point], results: Mapping[str, ContrastResult]) -> dict[str, Markup]:
    chances = sorted({round(float(result.rows()["value"][OTHER]), 6) for result in results.values()})
    words = "; ".join(f"{point.owner}, {point.row}: {point.value:.3f}" for point in points)
    return share_figures(
        points,
        [(chance, CHANCE) for chance in chances],
        name="contrast",
        xlabel="cosine of the magnitudes of map and contrast",
        label=f"Cosine of the magnitudes of map and contrast. {words}; by chance: {', '.join(f'{one:.3f}' for one in chances)}",
    )


def _measured(results: Mapping[str, ContrastResult]) -> Table:
    rows = []
    for name, result in results.items():
        magnitudes, signed = result.rows(), result.rows("signed")
        for one in magnitudes.index:
            cells = (interval(*found.loc[one, ["value", "low", "high"]], signed=found is signed) for found in (magnitudes, signed))
            shown = f"{one} (control)" if one in result.controls else f"{result.audited[0]}, {one}" if one == OTHER else one
            rows.append((Cell(name), Cell(shown), *cells))
    return Table("Cosines of map and contrast, means over images", ("Classifier", "Map", "Magnitudes", "Signed"), tuple(rows))
