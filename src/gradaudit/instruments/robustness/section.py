"""Robustness's section of the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gradaudit.instruments.robustness import RobustnessResult
from gradaudit.instruments.robustness.options import ABOUT
from gradaudit.instruments.robustness.section_figures import Curve, curve_steps, robustness_figures
from gradaudit.markup.rendering import templates
from gradaudit.markup.section import Finding, Section
from gradaudit.markup.strokes import series_stroke
from gradaudit.markup.tables import Cell, Table, number, percent

render = templates(__file__)


def robustness_section(results: Mapping[str, RobustnessResult]) -> Section:
    """Robustness on the page: verdicts, one figure with all curves, the table, the checks, and how to read them."""
    curves = [*_curves(results)]
    names = {name for result in results.values() for name in result.rows}
    return Section(
        anchor="robustness",
        title="Robustness",
        question=ABOUT.question,
        findings=tuple(Finding(name, ", ".join(result.settings["attacks"]), result.verdict) for name, result in results.items()),
        overview=render(
            "overview.html",
            figures=robustness_figures(curves),
            curves=curves,
            norms=sorted({curve.norm for curve in curves}),
        ),
        body=render(
            "section.html",
            table_of_accuracies=_table(results),
            checks=_checks(results),
            attacked=any(result.attacks for result in results.values()),
            several="worst" in names,
            certified=any(result.details["certificates"] for result in results.values()),
            average=any(result.details["shares"] for result in results.values()),
        ),
    )


def _curves(results: Mapping[str, RobustnessResult]) -> Iterator[Curve]:
    for place, (name, result) in enumerate(results.items()):
        for turn, (attack, rows) in enumerate(result.curves()):
            certificates = result.certificates(attack) if attack in result.details["certificates"] else None
            yield Curve(f"{name}, {attack}", rows["norm"].iloc[0], series_stroke(place, turn), rows, curve_steps(certificates))


def _table(results: Mapping[str, RobustnessResult]) -> Table:
    columns = ("Classifier", "Attack", "Norm", "Radius", "Accuracy", "95% low", "95% high")
    rows = []
    for name, result in results.items():
        for row in result.table.to_dict("records"):
            head = (Cell(name), Cell(row["attack"]), Cell(row["norm"]), number(row["eps"], digits=4))
            rows.append((*head, *(number(row[column]) for column in ("accuracy", "low", "high"))))
    return Table("Share of images that keep their label, for each attack and radius", columns, tuple(rows))


def _checks(results: Mapping[str, RobustnessResult]) -> Table:
    rows = [(Cell(name), Cell(check), Cell(found)) for name, result in results.items() for check, found in _found(result)]
    return Table("Signs that an attack has failed", ("Classifier", "Check", "Found"), tuple(rows), sortable=False)


def _found(result: RobustnessResult) -> Iterator[tuple[str, str]]:
    found = result.details["checks"]
    yield "Outputs for the same images change from call to call", "yes" if found["randomised"] else "no"
    if "zero_gradient" in found:
        yield "Images whose loss has a gradient of exactly zero", percent(found["zero_gradient"])
        yield "Images that keep their label under unbounded PGD", percent(found["unbounded"])
    for eps, drop in found.get("noise", {}).items():
        yield f"Broken by random points but by no attack, radius {eps}", percent(drop)
    for attack, drops in found.get("more_steps", {}).items():
        for eps, drop in drops.items():
            yield f"Broken by twice the steps of {attack} only, radius {eps}", percent(drop)
