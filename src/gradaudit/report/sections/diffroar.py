"""DiffROAR's section of the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from markupsafe import Markup

from gradaudit.instruments.diffroar import DiffROARResult
from gradaudit.report.rendering import render
from gradaudit.report.section import Finding, Section
from gradaudit.report.sections._diffroar_figures import Curve, accuracy_figure, accuracy_strokes, difference_figures
from gradaudit.report.strokes import Stroke, control_stroke, series_stroke
from gradaudit.report.tables import Cell, Table, level_cell, number, percent, span

NOT_RUN = "not run"
ONE_SEED = "one seed"
WORDS = {
    "top": "top-ranked features",
    "bottom": "bottom-ranked features",
    "mask_top": "top mask alone, no image",
    "mask_bottom": "bottom mask alone, no image",
    "whole": "whole images",
    "chance": "chance",
}


def diffroar(results: Mapping[str, DiffROARResult]) -> Section:
    """DiffROAR on the page: verdicts, one figure with all curves, the accuracies behind them, tables, and how to read them."""
    curves = [*_audited_curves(results), *_control_curves(results)]
    controls = list(dict.fromkeys(control for result in results.values() for control in result.controls))
    body = render(
        "diffroar.html",
        panels=_panels(results),
        summary=_summary_table(results),
        measurements=_measurement_table(results),
        controls=controls,
        masks=any(result.table["mask_top"].notna().any() for result in results.values()),
        fills=sorted({str(result.settings["fill"]) for result in results.values()}),
        learners=sorted({str(result.settings["learner"]["network"]) for result in results.values()}),
    )
    single = any(int(result.summary["seeds"].min()) < 2 for result in results.values())
    return Section(
        anchor="diffroar",
        title="DiffROAR",
        question="Do the features that an attribution ranks high carry more label information than those it ranks low?",
        findings=tuple(_findings(results)),
        overview=render("diffroar_overview.html", figures=difference_figures(curves), curves=curves, single=single),
        body=body,
    )


def _findings(results: Mapping[str, DiffROARResult]) -> Iterator[Finding]:
    for name, result in results.items():
        for attribution, verdict in result.verdicts.items():
            yield Finding(name, attribution, verdict)


def _audited_curves(results: Mapping[str, DiffROARResult]) -> Iterator[Curve]:
    for place, (name, result) in enumerate(results.items()):
        for turn, attribution in enumerate(result.audited):
            rows = result.summary[result.summary["attribution"] == attribution]
            yield Curve(f"{name}, {attribution}", series_stroke(place, turn), rows)


def _control_curves(results: Mapping[str, DiffROARResult]) -> Iterator[Curve]:
    """Each control once where all classifiers share its numbers, as they do on the same images; otherwise one for each."""
    found: dict[tuple[str, str], list[str]] = {}
    rows = {}
    for name, result in results.items():
        for control in result.controls:
            own = result.summary[result.summary["attribution"] == control]
            key = (control, own[["level", "mean", "low", "high"]].to_csv(index=False))
            found.setdefault(key, []).append(name)
            rows[key] = own
    for place, ((control, numbers), owners) in enumerate(found.items()):
        whose = "" if len(owners) == len(results) else f" for {' and '.join(owners)}"
        yield Curve(f"{control} (control){whose}", control_stroke(place), rows[control, numbers])


def _panels(results: Mapping[str, DiffROARResult]) -> list[dict[str, object]]:
    """For each audited attribution of each classifier: heading, verdict, accuracy figure and its key."""
    pairs = [(name, result, attribution) for name, result in results.items() for attribution in result.audited]
    return [
        {
            "classifier": name,
            "attribution": attribution,
            "verdict": result.verdicts[attribution],
            "figure": _accuracies(name, result, attribution, f"diffroar-accuracy-{place}"),
            "key": _key(result, attribution),
            "masks": "mask_top" in accuracy_strokes(result, attribution),
        }
        for place, (name, result, attribution) in enumerate(pairs)
    ]


def _accuracies(name: str, result: DiffROARResult, attribution: str, identity: str) -> Markup:
    rows = result.summary[result.summary["attribution"] == attribution].to_dict("records")
    points = "; ".join(f"{percent(row['level'])}: top {row['top']:.3f}, bottom {row['bottom']:.3f}" for row in rows)
    label = f"Accuracies of the learners against the share of features kept, {name}, {attribution}. {points}"
    return accuracy_figure(result, attribution, identity, label)


def _key(result: DiffROARResult, attribution: str) -> list[tuple[Stroke, str]]:
    values = {"whole": float(np.mean(result.details["whole"])), "chance": result.details["chance"]}
    return [
        (stroke, WORDS[column] + (f", {values[column]:.3f}" if column in values else ""))
        for column, stroke in accuracy_strokes(result, attribution).items()
    ]


def _summary_table(results: Mapping[str, DiffROARResult]) -> Table:
    columns = (
        "Classifier",
        "Ranking",
        "Features kept",
        "DiffROAR",
        "95% interval",
        "95% at all levels",
        "Detectable",
        "Top",
        "Bottom",
        "Mask top",
        "Mask bottom",
        "Seeds",
    )
    rows = []
    for name, result in results.items():
        for row in result.summary.to_dict("records"):
            spans = [span(row[f"low{scope}"], row[f"high{scope}"], missing=ONE_SEED) for scope in ("", "_all")]
            found = (number(row["mean"], signed=True), *spans, number(row["detectable"], missing=ONE_SEED))
            accuracies = [number(row[column], missing=NOT_RUN) for column in ("top", "bottom", "mask_top", "mask_bottom")]
            head = (Cell(name), Cell(_ranking(result, row["attribution"])), level_cell(row["level"]))
            rows.append((*head, *found, *accuracies, number(row["seeds"], digits=0)))
    return Table("DiffROAR by ranking and level: means over seeds, intervals, and the accuracies behind them", columns, tuple(rows))


def _measurement_table(results: Mapping[str, DiffROARResult]) -> Table:
    columns = ("Classifier", "Ranking", "Features kept", "Seed", "Top", "Bottom", "DiffROAR", "Mask top", "Mask bottom")
    rows = []
    for name, result in results.items():
        for row in result.table.to_dict("records"):
            head = (Cell(name), Cell(_ranking(result, row["attribution"])), level_cell(row["level"]))
            seed = Cell(str(row["seed"]), str(row["seed"]), "number")
            accuracies = [number(row[column], digits=4) for column in ("top", "bottom")]
            masks = [number(row[column], digits=4, missing=NOT_RUN) for column in ("mask_top", "mask_bottom")]
            rows.append((*head, seed, *accuracies, number(row["diffroar"], digits=4, signed=True), *masks))
    return Table("Every measurement: one row for each ranking, level and seed", columns, tuple(rows))


def _ranking(result: DiffROARResult, attribution: str) -> str:
    return f"{attribution} (control)" if attribution in result.controls else attribution
