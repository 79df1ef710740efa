"""The section of flips by region on the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from gradaudit.instruments.region_flips.options import ABOUT
from gradaudit.instruments.region_flips.result import RegionFlipsResult
from gradaudit.markup.level_figures import Curve, level_figures
from gradaudit.markup.rendering import templates
from gradaudit.markup.section import Finding, Section
from gradaudit.markup.strokes import control_stroke, series_stroke
from gradaudit.markup.tables import Cell, Table, interval, level_cell, number

render = templates(__file__)

YLABEL = "confirmed flips, top \N{MINUS SIGN} bottom"
MOST = 1.05


def region_flips_section(results: Mapping[str, RegionFlipsResult]) -> Section:
    """Flips by region on the page: verdicts, one figure with all maps, the tables, and how to read them."""
    curves = [*_curves(results)]
    figures = level_figures(curves, name="region-flips", ylabel=YLABEL, most=MOST, across="pixels that may change")
    return Section(
        anchor="region_flips",
        title="Flips by region",
        question=ABOUT.question,
        findings=tuple(Finding(name, result.audited[0], result.verdict) for name, result in results.items()),
        overview=render("overview.html", figures=figures, curves=curves),
        body=render(
            "section.html",
            measured=_measured(results),
            whole=_whole(results),
            made={name: _made(result) for name, result in results.items()},
            left_out=dict(pair for result in results.values() for pair in result.settings.get("left_out", {}).items()),
        ),
    )


def _curves(results: Mapping[str, RegionFlipsResult]) -> Iterator[Curve]:
    """Those of the audited maps, then of the controls of each classifier."""
    for place, (name, result) in enumerate(results.items()):
        for turn, attribution in enumerate(result.audited):
            yield Curve(f"{name}, {attribution}", series_stroke(place, turn), _rows(result, attribution))
    pairs = [(name, result, control) for name, result in results.items() for control in result.controls]
    for place, (name, result, control) in enumerate(pairs):
        yield Curve(f"{name}, {control} (control)", control_stroke(place), _rows(result, control))


def _rows(result: RegionFlipsResult, attribution: str) -> pd.DataFrame:
    rows = result.rows()
    own = rows[rows["attribution"] == attribution]
    return own[["level", "difference", "low", "high"]].rename(columns={"difference": "mean"})


def _made(result: RegionFlipsResult) -> str:
    """By what images were changed, and who was asked."""
    return f"{result.settings['method']}; {' and '.join(result.oracles) or 'nobody'} asked to confirm"


def _measured(results: Mapping[str, RegionFlipsResult]) -> Table:
    columns = ("Classifier", "Map", "Pixels that may change", "Counted", "Top", "Bottom", "Difference", "Lead over random")
    rows = [
        (
            Cell(name),
            Cell(f"{row['attribution']} (control)" if row["attribution"] in result.controls else row["attribution"]),
            level_cell(row["level"]),
            Cell(row["measure"]),
            number(row["top"]),
            number(row["bottom"]),
            interval(row["difference"], row["low"], row["high"], signed=True),
            interval(row["lead"], row["lead_low"], row["lead_high"], signed=True, missing="none"),
        )
        for name, result in results.items()
        for row in result.table.to_dict("records")
    ]
    return Table("Shares of images flipped, and confirmed by others", columns, tuple(rows))


def _whole(results: Mapping[str, RegionFlipsResult]) -> Table:
    rows = [
        (Cell(name), Cell(row["measure"]), interval(row["value"], row["low"], row["high"]))
        for name, result in results.items()
        for row in result.whole.to_dict("records")
    ]
    return Table("Where all of an image may change", ("Classifier", "Counted", "Share of images"), tuple(rows), sortable=False)
