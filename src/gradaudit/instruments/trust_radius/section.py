"""The trust radius's section of the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradaudit.instruments.trust_radius import TrustRadiusResult
from gradaudit.instruments.trust_radius.options import ABOUT
from gradaudit.instruments.trust_radius.result import ESTIMATES
from gradaudit.instruments.trust_radius.section_figures import Curve, trust_radius_figures
from gradaudit.markup.rendering import templates
from gradaudit.markup.section import Finding, Section
from gradaudit.markup.strokes import series_stroke
from gradaudit.markup.tables import Cell, Table, interval, number

render = templates(__file__)

SUBJECT = "logit gradients"
WORDS = {"taylor": "Taylor", "mmse": "MMSE", "moments": "Moments", "softmax": "Softmax"}


def trust_radius_section(results: Mapping[str, TrustRadiusResult]) -> Section:
    """The trust radius on the page: verdicts, one figure with all curves, the tables, and how to read them."""
    curves = [Curve(name, series_stroke(place, 0), result.table) for place, (name, result) in enumerate(results.items())]
    return Section(
        anchor="trust_radius",
        title="Trust radius",
        question=ABOUT.question,
        findings=tuple(Finding(name, SUBJECT, result.verdict) for name, result in results.items()),
        overview=render("overview.html", figures=trust_radius_figures(curves), curves=curves),
        body=render(
            "section.html",
            radii=_radii(results),
            explained=_explained(results),
            probabilities=_probabilities(results),
            errors=_errors(results),
            copies=sorted({result.settings["copies"] for result in results.values()}),
        ),
    )


def _radii(results: Mapping[str, TrustRadiusResult]) -> Table:
    rows = []
    for name, result in results.items():
        single = result.per_image()["radius"]
        spread = (number(float(single.quantile(share)), digits=4) for share in (0.1, 0.5, 0.9))
        rows.append((Cell(name), *(_small(*found) for found in (result.radius, result.length, result.agreement)), *spread))
    columns = (
        *("Classifier", "Trust radius, sigma", "Its L2 length", "Probabilities agree up to sigma"),
        *("Radius of single images: 10% below", "median", "10% above"),
    )
    return Table("Trust radii: 0 is below all that was tried, the largest sigma may be beyond it", columns, tuple(rows))


def _small(value: float, low: float, high: float) -> Cell:
    ends = "" if low != low else f" [{low:.3g}, {high:.3g}]"
    return Cell(f"{value:.3g}{ends}", repr(float(value)), "number")


def _explained(results: Mapping[str, TrustRadiusResult]) -> Table:
    rows = [
        (Cell(name), _sigma(row), number(row["length"], digits=2), _interval(row, "explained"), _interval(row, "trusted"))
        for name, result in results.items()
        for row in result.table.to_dict("records")
    ]
    columns = ("Classifier", "Sigma", "L2", "Explained, mean over images", "Images with at least half")
    return Table("Share of the margin's mean squared change that the gradient explains", columns, tuple(rows))


def _probabilities(results: Mapping[str, TrustRadiusResult]) -> Table:
    rows = [
        (Cell(name), _sigma(row), _interval(row, "p_mc"), *(number(row[f"p_{one}"]) for one in ESTIMATES))
        for name, result in results.items()
        for row in result.table.to_dict("records")
    ]
    columns = ("Classifier", "Sigma", "Monte Carlo", *(WORDS[one] for one in ESTIMATES))
    return Table("Probability that the class is kept, means over images", columns, tuple(rows))


def _errors(results: Mapping[str, TrustRadiusResult]) -> Table:
    rows = [
        (Cell(name), _sigma(row), *(_interval(row, f"error_{one}") for one in ESTIMATES))
        for name, result in results.items()
        for row in result.table.to_dict("records")
    ]
    columns = ("Classifier", "Sigma", *(WORDS[one] for one in ESTIMATES))
    return Table("Errors of that probability, root mean squares over images", columns, tuple(rows))


def _sigma(row: Mapping[Any, Any]) -> Cell:
    return Cell(f"{row['sigma']:g}", repr(float(row["sigma"])), "number")


def _interval(row: Mapping[Any, Any], name: str) -> Cell:
    return interval(*(row[f"{name}{end}"] for end in ("", "_low", "_high")))
