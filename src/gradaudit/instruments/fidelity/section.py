"""Fidelity's section of the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from gradaudit.instruments.fidelity import FidelityResult
from gradaudit.instruments.fidelity.options import ABOUT
from gradaudit.markup.level_figures import Curve, level_figures
from gradaudit.markup.rendering import templates
from gradaudit.markup.section import Finding, Section
from gradaudit.markup.strokes import control_stroke, series_stroke
from gradaudit.markup.tables import Cell, Table, interval, level_cell, number, percent, span
from gradaudit.packing import unpack

render = templates(__file__)

YLABEL = "fidelity = accuracy(top) \N{MINUS SIGN} accuracy(bottom)"
MOST = 1.05
WORDS = {"most_relevant_first": "most relevant", "least_relevant_first": "least relevant"}


def fidelity_section(results: Mapping[str, FidelityResult]) -> Section:
    """Fidelity on the page: verdicts, one figure with all curves, the tables, and how to read them."""
    curves = [*_audited_curves(results), *_control_curves(results)]
    return Section(
        anchor="fidelity",
        title="Fidelity",
        question=ABOUT.question,
        findings=tuple(Finding(name, result.audited[0], result.verdict) for name, result in results.items()),
        overview=render(
            "overview.html",
            figures=level_figures(curves, name="fidelity", ylabel=YLABEL, most=MOST),
            curves=curves,
            fills=_each(result.fills[0] for result in results.values()),
        ),
        body=render(
            "section.html",
            measurements=_measurements(results),
            orders=_orders(results),
            agreement=_agreement(results),
            patches=_patches(results),
            nothing=_nothing(results),
            accuracies={name: percent(round(result.accuracy, 4)) for name, result in results.items()},
            copies=_copies(results),
            left_out=dict(pair for result in results.values() for pair in result.settings.get("left_out", {}).items()),
            controls=any(result.controls for result in results.values()),
            features=" or ".join(_each(result.settings["features"] for result in results.values())),
            predicted=any(result.settings["target"] == "predicted" for result in results.values()),
        ),
    )


def _copies(results: Mapping[str, FidelityResult]) -> dict[str, str]:
    """Accuracies on whole images of the copies that were asked, by classifier and fill."""
    return {
        f"{name}, {fill}": percent(round(float(unpack(whole["right"]).mean()), 4))
        for name, result in results.items()
        for fill, whole in result.details["copies"].items()
    }


def _each(words: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(words))


def _audited_curves(results: Mapping[str, FidelityResult]) -> Iterator[Curve]:
    for place, (name, result) in enumerate(results.items()):
        for turn, attribution in enumerate(result.audited):
            yield Curve(f"{name}, {attribution}", series_stroke(place, turn), _curve(result, attribution))


def _control_curves(results: Mapping[str, FidelityResult]) -> Iterator[Curve]:
    """Each control of each classifier: it ranks alike for all of them, but each is asked itself."""
    pairs = [(name, result, control) for name, result in results.items() for control in result.controls]
    for place, (name, result, control) in enumerate(pairs):
        yield Curve(f"{name}, {control} (control)", control_stroke(place), _curve(result, control))


def _curve(result: FidelityResult, attribution: str) -> pd.DataFrame:
    rows = result.rows()
    own = rows[rows["attribution"] == attribution]
    return own[["level", "fidelity", "low", "high"]].rename(columns={"fidelity": "mean"})


def _measurements(results: Mapping[str, FidelityResult]) -> Table:
    measured = (
        "Top",
        "Bottom",
        "Fidelity",
        "95% interval",
        "log p, top",
        "log p, bottom",
        "Difference of log p",
        "95% interval of it",
    )
    rows = [
        (
            *_head(name, result, row["attribution"], row["fill"]),
            level_cell(row["level"]),
            *(number(row[side]) for side in ("top", "bottom")),
            number(row["fidelity"], signed=True),
            span(row["low"], row["high"], missing="one image"),
            *(number(row[side], digits=2) for side in ("log_top", "log_bottom")),
            number(row["log_fidelity"], digits=2, signed=True),
            span(row["log_low"], row["log_high"], missing="one image"),
        )
        for name, result in results.items()
        for row in result.table.to_dict("records")
    ]
    columns = ("Classifier", "Ranking", "Fill", "Features left", *measured)
    return Table("Accuracy and log probability with the top- and the bottom-ranked features left", columns, tuple(rows))


def _orders(results: Mapping[str, FidelityResult]) -> Table:
    columns = ("Classifier", "Ranking", "Fill", "Removed first", "Accuracy", "Probability of the target")
    rows = [
        (
            *_head(name, result, row["attribution"], row["fill"]),
            Cell(WORDS[row["order"]]),
            *(interval(*(row[f"{one}{end}"] for end in ("", "_low", "_high"))) for one in ("accuracy", "probability")),
        )
        for name, result in results.items()
        for row in result.orders.to_dict("records")
    ]
    return Table("Both orders of removal: means over the levels left", columns, tuple(rows))


def _agreement(results: Mapping[str, FidelityResult]) -> Table:
    rows = [
        (
            Cell(name),
            Cell(row["fill"]),
            number(row["spearman"], signed=True, missing="too few rankings"),
            number(row["attributions"], digits=0),
        )
        for name, result in results.items()
        for row in result.order_agreement.to_dict("records")
    ]
    return Table("Whether both orders rank the rankings alike", ("Classifier", "Fill", "Spearman", "Rankings"), tuple(rows), False)


def _patches(results: Mapping[str, FidelityResult]) -> Table | None:
    rows = [
        (
            *_head(name, result, row["attribution"], row["fill"]),
            interval(row["spearman"], row["low"], row["high"], signed=True, missing="all left out"),
            *(number(row[column], digits=0) for column in ("images", "left_out")),
        )
        for name, result in results.items()
        for row in result.single_patches.to_dict("records")
    ]
    columns = ("Classifier", "Ranking", "Fill", "Spearman within an image", "Images", "Left out")
    return Table("Single patches: their sums against the drops of the logit", columns, tuple(rows)) if rows else None


def _nothing(results: Mapping[str, FidelityResult]) -> Table:
    rows = []
    for name, result in results.items():
        classes = dict(enumerate(result.settings["classes"]))
        for fill, found in result.details["nothing"].items():
            answer = f"{classes.get(found['class'], found['class'])}, for {percent(round(found['share'], 4))}"
            rows.append((Cell(name), Cell(fill), number(found["accuracy"]), Cell(answer), number(found["confidence"])))
    columns = ("Classifier", "Fill", "Accuracy", "Most frequent answer", "Mean confidence")
    return Table("With everything removed", columns, tuple(rows), sortable=False)


def _head(name: str, result: FidelityResult, attribution: str, fill: str) -> tuple[Cell, Cell, Cell]:
    ranking = f"{attribution} (control)" if attribution in result.controls else attribution
    return Cell(name), Cell(ranking), Cell(fill)
