"""A sweep's section of the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from gradaudit.instruments.sweep.options import ABOUT
from gradaudit.instruments.sweep.regimes import REGIMES
from gradaudit.instruments.sweep.result import SweepResult
from gradaudit.instruments.sweep.section_figures import map_figures, panel_figures
from gradaudit.markup.rendering import templates
from gradaudit.markup.section import Finding, Section
from gradaudit.markup.tables import Cell, Table, number

render = templates(__file__)


def sweep_section(results: Mapping[str, SweepResult]) -> Section:
    """Sweeps on the page: verdicts, the map, the panels, regimes, peaks, correlations, all numbers, and how to read them."""
    maps = {name: map_figures(result, place) for place, (name, result) in enumerate(results.items())}
    panels = {name: panel_figures(result, place) for place, (name, result) in enumerate(results.items())}
    return Section(
        anchor="sweep",
        title="Training sweep",
        question=ABOUT.question,
        findings=tuple(Finding(name, _subject(result), result.verdict) for name, result in results.items()),
        overview=render("overview.html", maps=maps),
        body=render(
            "section.html",
            panels=panels,
            reference={name: f"{result.settings['reference_radius']:g}" for name, result in results.items()},
            regimes=_regimes(results),
            peaks=_peaks(results),
            correlations=_correlations(results),
            measures=_measures(results),
        ),
    )


def _subject(result: SweepResult) -> str:
    return f"{len(result.classifiers)} classifiers: {', '.join(result.families)}"


def _rows(results: Mapping[str, SweepResult], tables: Mapping[str, pd.DataFrame]) -> Iterator[tuple[Cell, dict[Any, Any]]]:
    for name in results:
        for row in tables[name].to_dict("records"):
            yield Cell(name), row


def _strength(row: Mapping[Any, Any]) -> Cell:
    return Cell(f"{row['strength']:g}", repr(float(row["strength"])), "number")


def _regimes(results: Mapping[str, SweepResult]) -> Table:
    columns = (
        "Sweep",
        "Family",
        "Strength",
        "Regime",
        *(f"P({name})" for name in REGIMES),
        "On, of unregularised",
        "Off, of unregularised",
    )
    rows = [
        (head, Cell(row["family"]), _strength(row), Cell(row["regime"]), *_numbers(row, (*REGIMES, "on", "off")))
        for head, row in _rows(results, {name: result.regimes for name, result in results.items()})
    ]
    return Table("The regime of each classifier, the probability of each regime, and its changes", columns, tuple(rows))


def _peaks(results: Mapping[str, SweepResult]) -> Table:
    columns = ("Sweep", "Family", "Strength", "Alignment", "95% low", "95% high", "Peak", "P(intermediate)")
    rows = [
        (
            head,
            Cell(row["family"]),
            _strength(row),
            *_numbers(row, ("alignment", "low", "high")),
            Cell(row["peak"]),
            *_numbers(row, ("probability",)),
        )
        for head, row in _rows(results, {name: result.peaks() for name, result in results.items()})
    ]
    return Table("Where alignment is largest in each family", columns, tuple(rows), sortable=False)


def _correlations(results: Mapping[str, SweepResult]) -> Table:
    columns = ("Sweep", "Family", "Classifiers", "Correlation", "95% low", "95% high")
    rows = [
        (
            head,
            Cell(row["family"]),
            number(row["classifiers"], digits=0),
            *_numbers(row, ("correlation", "low", "high"), signed=True),
        )
        for head, row in _rows(results, {name: result.correlation() for name, result in results.items()})
    ]
    caption = "Spearman's correlation of relative off-manifold robustness and alignment, with intervals over classifiers"
    return Table(caption, columns, tuple(rows), sortable=False)


def _measures(results: Mapping[str, SweepResult]) -> Table:
    columns = ("Sweep", "Family", "Strength", "Measure", "At", "Value", "95% low", "95% high")
    rows = [
        (
            head,
            Cell(row["family"]),
            _strength(row),
            Cell(row["measure"].replace("_", " ")),
            _parameter(row),
            *_numbers(row, ("value", "low", "high"), digits=4),
        )
        for head, row in _rows(results, {name: result.table for name, result in results.items()})
    ]
    return Table("Everything that was measured", columns, tuple(rows))


def _parameter(row: Mapping[Any, Any]) -> Cell:
    return number(row["parameter"], missing="all" if row["measure"] == "off_manifold_robustness" else "none")


def _numbers(row: Mapping[Any, Any], columns: tuple[str, ...], *, digits: int = 3, signed: bool = False) -> Iterator[Cell]:
    return (number(row[column], digits=digits, signed=signed, missing="undefined") for column in columns)
