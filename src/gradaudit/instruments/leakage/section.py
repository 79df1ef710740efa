"""Leakage's section of the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from markupsafe import Markup

from gradaudit.instruments.leakage import LeakageResult
from gradaudit.instruments.leakage.options import ABOUT
from gradaudit.markup.rendering import templates
from gradaudit.markup.section import Finding, Section
from gradaudit.markup.share_figures import Point, key_of_points, share_figures
from gradaudit.markup.strokes import Stroke, control_stroke, series_stroke
from gradaudit.markup.tables import Cell, Table, number, percent

render = templates(__file__)

ALL = "every classifier"
CHANCE, HALF = Stroke("ink"), Stroke("soft", (1, 2))
LINES = ((CHANCE, "chance: a ranking at random"), (HALF, "half of chance, where the verdict turns"))
WORDS = {"null_mass": "Magnitude outside", "pointing": "Pointing game", "quality_1": "Quality at one", "auroc": "AUROC"}


def leakage_section(results: Mapping[str, LeakageResult]) -> Section:
    """Leakage on the page: verdicts, one figure with all attributions, the tables, and how to read them."""
    points = [*_audited_points(results), *_control_points(results)]
    chances = sorted({round(_chance(result), 6) for result in results.values()})
    levels = sorted({result.level for result in results.values()})
    return Section(
        anchor="leakage",
        title="Leakage",
        question=ABOUT.question,
        findings=tuple(Finding(name, result.audited[0], result.verdict) for name, result in results.items()),
        overview=render(
            "overview.html",
            figures=_figures(points, chances),
            key=[*key_of_points(points), *LINES],
            levels=[percent(level) for level in levels],
            several=len(chances) > 1,
        ),
        body=render(
            "section.html",
            shares=_shares(results),
            measurements=_measurements(results),
            accuracies={name: percent(round(result.accuracy, 4)) for name, result in results.items()},
            controls={control.partition("(")[0] for result in results.values() for control in result.controls},
        ),
    )


def _figures(points: list[Point], chances: list[float]) -> dict[str, Markup]:
    """Shares outside the signal, with chance and half of it marked."""
    shares = "; ".join(f"{point.owner}, {point.row}: {percent(round(point.value, 4))}" for point in points)
    chance = " and ".join(percent(round(chance, 4)) for chance in chances)
    return share_figures(
        points,
        [line for chance in chances for line in ((chance, CHANCE), (chance / 2, HALF))],
        name="leakage",
        xlabel="share outside the signal",
        label=f"Share of the top-ranked features outside the signal. {shares}; chance: {chance}",
    )


def _chance(result: LeakageResult) -> float:
    return float(result.rows("null_mass")["chance"].iloc[0])


def _audited_points(results: Mapping[str, LeakageResult]) -> Iterator[Point]:
    for place, (name, result) in enumerate(results.items()):
        for attribution in result.audited:
            yield _point(result, attribution, attribution, name, series_stroke(place, 0))


def _control_points(results: Mapping[str, LeakageResult]) -> Iterator[Point]:
    """Each control once where all classifiers share its numbers, as they do on the same images; otherwise one for each."""
    for control in dict.fromkeys(control for result in results.values() for control in result.controls):
        owners = [(place, name) for place, (name, result) in enumerate(results.items()) if control in result.controls]
        points = [_point(results[name], control, f"{control} (control)", name, control_stroke(place)) for place, name in owners]
        shared = len({(point.value, point.low, point.high) for point in points}) == 1
        first = points[0]
        yield from [Point(first.row, ALL, control_stroke(0), first.value, first.low, first.high)] if shared else points


def _point(result: LeakageResult, attribution: str, row: str, owner: str, stroke: Stroke) -> Point:
    found = result.rows(result.deciding_measure)
    return Point(row, owner, stroke, *(float(found[column][attribution]) for column in ("value", "low", "high")))


def _shares(results: Mapping[str, LeakageResult]) -> Table:
    """A row for each classifier and attribution, a column for each measure; below them, what chance gives."""
    measures = list(dict.fromkeys(measure for result in results.values() for measure in result.table["measure"]))
    rows = [
        (Cell(name), Cell(_named(result, attribution)), *_measured(result, attribution, measures))
        for name, result in results.items()
        for attribution in (*result.audited, *result.controls)
    ]
    rows += [(Cell(name), Cell("chance"), *_chances(result, measures)) for name, result in results.items()]
    return Table("Means over images", ("Classifier", "Attribution", *map(_heading, measures)), tuple(rows))


def _measured(result: LeakageResult, attribution: str, measures: list[str]) -> Iterator[Cell]:
    found = result.table[result.table["attribution"] == attribution].set_index("measure")["value"].to_dict()
    return (number(found.get(measure, float("nan"))) for measure in measures)


def _chances(result: LeakageResult, measures: list[str]) -> Iterator[Cell]:
    found = result.table.drop_duplicates("measure").set_index("measure")["chance"].to_dict()
    return (number(found.get(measure, float("nan"))) for measure in measures)


def _measurements(results: Mapping[str, LeakageResult]) -> Table:
    columns = ("Classifier", "Attribution", "Measure", "Value", "95% low", "95% high", "Chance")
    rows = [
        (
            Cell(name),
            Cell(_named(result, row["attribution"])),
            Cell(_heading(row["measure"])),
            *(number(row[column], missing="one image") for column in ("value", "low", "high", "chance")),
        )
        for name, result in results.items()
        for row in result.table.to_dict("records")
    ]
    return Table("Every measure with its interval", columns, tuple(rows))


def _heading(measure: str) -> str:
    return WORDS.get(measure) or f"Top {percent(float(measure.removeprefix('null_top_')))} outside"


def _named(result: LeakageResult, attribution: str) -> str:
    return f"{attribution} (control)" if attribution in result.controls else attribution
