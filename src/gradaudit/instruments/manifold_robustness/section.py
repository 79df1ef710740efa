"""Manifold robustness's section of the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gradaudit.instruments.manifold_robustness.options import ABOUT
from gradaudit.instruments.manifold_robustness.result import ManifoldRobustnessResult
from gradaudit.instruments.manifold_robustness.section_figures import Curve, manifold_robustness_figures
from gradaudit.markup.rendering import templates
from gradaudit.markup.section import Finding, Section
from gradaudit.markup.strokes import series_stroke
from gradaudit.markup.tables import Cell, Table, number, percent

render = templates(__file__)


def manifold_robustness_section(results: Mapping[str, ManifoldRobustnessResult]) -> Section:
    """Manifold robustness on the page: verdicts, one figure with all curves, the changes, their ratios, and how to read them."""
    curves = [*_curves(results)]
    return Section(
        anchor="manifold-robustness",
        title="Manifold robustness",
        question=ABOUT.question,
        findings=tuple(Finding(name, "noise on and off the manifold", result.verdict) for name, result in results.items()),
        overview=render("overview.html", figures=manifold_robustness_figures(curves), curves=curves),
        body=render(
            "section.html",
            ratios=_ratios(results),
            changes=_changes(results),
            explained={name: _explained(result) for name, result in results.items()},
        ),
    )


def _curves(results: Mapping[str, ManifoldRobustnessResult]) -> Iterator[Curve]:
    for place, (name, result) in enumerate(results.items()):
        for turn, direction in enumerate(("on", "off")):
            rows = result.table[result.table["direction"] == direction]
            yield Curve(f"{name}, {direction} the manifold", series_stroke(place, turn), rows)


def _ratios(results: Mapping[str, ManifoldRobustnessResult]) -> Table:
    rows = []
    for name, result in results.items():
        for row in result.ratios().to_dict("records"):
            cells = (number(row[column], missing="no change") for column in ("ratio", "low", "high"))
            rows.append((Cell(name), number(row["radius"]), *cells))
        rows.append(
            (
                Cell(name),
                Cell("all, geometric mean", kind="missing"),
                *(number(value, missing="no change") for value in result.ratio()),
            )
        )
    columns = ("Classifier", "Length", "On / off", "95% low", "95% high")
    return Table("Relative off-manifold robustness: the change on the manifold over the change off it", columns, tuple(rows), False)


def _changes(results: Mapping[str, ManifoldRobustnessResult]) -> Table:
    columns = ("Classifier", "Direction", "Length", "Change", "95% low", "95% high")
    rows = []
    for name, result in results.items():
        for row in result.table.to_dict("records"):
            cells = (number(row[column], digits=4) for column in ("change", "low", "high"))
            rows.append((Cell(name), Cell(row["direction"]), number(row["radius"]), *cells))
    return Table("Change of the softmax (L1, from 0 to 2) under noise of one length", columns, tuple(rows))


def _explained(result: ManifoldRobustnessResult) -> str:
    share = result.details["explained"]
    found = "no" if share is None else percent(round(share, 3))
    return f"{found} of the way, in {result.details['dimensions']} dimensions"
