"""DiffROAR's section of the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from gradaudit.instruments.diffroar import DiffROARResult
from gradaudit.instruments.diffroar.measures import COLUMNS, CONDITIONAL, RAW, Measure
from gradaudit.report.rendering import render
from gradaudit.report.section import Finding, Section
from gradaudit.report.sections._diffroar_figures import (
    BITS_STROKES,
    Curve,
    accuracy_figure,
    accuracy_strokes,
    bits_figure,
    curve_rows,
    difference_figures,
)
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
    "bits_top": "top-ranked features",
    "bits_bottom": "bottom-ranked features",
    "bits_mask_top": "top mask alone, no image",
    "bits_mask_bottom": "bottom mask alone, no image",
    "bits_both_top": "top-ranked features and their mask",
    "bits_both_bottom": "bottom-ranked features and their mask",
    "whole_bits": "whole images",
    "nothing": "nothing at all",
}


def diffroar(results: Mapping[str, DiffROARResult]) -> Section:
    """DiffROAR on the page: verdicts, one figure with all curves, the accuracies behind them, tables, and how to read them."""
    given = {name: result for name, result in results.items() if result.conditional_verdicts}
    controls = list(dict.fromkeys(control for result in results.values() for control in result.controls))
    body = render(
        "diffroar.html",
        panels=_panels(results),
        bits_panels=_bits_panels(given),
        summary=summary_table(results),
        measurements=_measurement_table(results),
        controls=controls,
        masks=any(result.table["mask_top"].notna().any() for result in results.values()),
        fills=sorted({str(result.settings["fill"]) for result in results.values()}),
        learners=sorted({str(result.settings["learner"]["network"]) for result in results.values()}),
    )
    figures = [overview_figure(results, RAW), *([overview_figure(given, CONDITIONAL)] if given else [])]
    return Section(
        anchor="diffroar",
        title="DiffROAR",
        question="Do the features that an attribution ranks high carry more label information than those it ranks low?",
        findings=tuple(findings(results)),
        overview=render("diffroar_overview.html", figures=figures),
        body=body,
    )


def findings(results: Mapping[str, DiffROARResult]) -> Iterator[Finding]:
    """The verdict of each attribution, and beside it the one given the mask."""
    for name, result in results.items():
        for attribution, verdict in result.verdicts.items():
            yield Finding(name, attribution, verdict)
            if attribution in result.conditional_verdicts:
                yield Finding(name, f"{attribution}, given the mask", result.conditional_verdicts[attribution])


def overview_figure(results: Mapping[str, DiffROARResult], measure: Measure, identity: str = "") -> dict[str, object]:
    """One measure of every classifier and control: figures, curves for the key, and whether a curve has no interval."""
    curves = [*_audited_curves(results, measure), *_control_curves(results, measure)]
    single = any(int(result.summary["seeds"].min()) < 2 for result in results.values())
    return {"kind": measure.column, "figures": difference_figures(curves, measure, identity), "curves": curves, "single": single}


def _audited_curves(results: Mapping[str, DiffROARResult], measure: Measure) -> Iterator[Curve]:
    for place, (name, result) in enumerate(results.items()):
        for turn, attribution in enumerate(result.audited):
            rows = curve_rows(result, attribution, measure)
            yield Curve(f"{name}, {attribution}", series_stroke(place, turn), rows)


def _control_curves(results: Mapping[str, DiffROARResult], measure: Measure) -> Iterator[Curve]:
    """Each control once where all classifiers share its numbers, as they do on the same images; otherwise one for each."""
    found: dict[tuple[str, str], list[str]] = {}
    rows = {}
    for name, result in results.items():
        for control in result.controls:
            own = curve_rows(result, control, measure)
            key = (control, own.to_csv(index=False))
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


def _bits_panels(results: Mapping[str, DiffROARResult]) -> list[dict[str, object]]:
    """For each attribution that was judged given the mask: heading, verdict, figure of bits and its key."""
    pairs = [(name, result, attribution) for name, result in results.items() for attribution in result.conditional_verdicts]
    return [
        {
            "classifier": name,
            "attribution": attribution,
            "verdict": result.conditional_verdicts[attribution],
            "figure": bits_figure(result, attribution, f"diffroar-bits-{place}", _bits_label(name, result, attribution)),
            "key": _bits_key(result),
        }
        for place, (name, result, attribution) in enumerate(pairs)
    ]


def _bits_label(name: str, result: DiffROARResult, attribution: str) -> str:
    rows = result.summary[result.summary["attribution"] == attribution].to_dict("records")
    sides = ((row, side) for row in rows for side in ("top", "bottom"))
    points = "; ".join(
        f"{percent(row['level'])} {side}: mask {row[f'bits_mask_{side}']:.3f}, with pixels {row[f'bits_both_{side}']:.3f}"
        for row, side in sides
    )
    return f"Bits that the learners leave open against the share of features kept, {name}, {attribution}. {points}"


def _bits_key(result: DiffROARResult) -> list[tuple[Stroke, str]]:
    values = {"whole_bits": float(np.mean(result.details["whole_bits"])), "nothing": result.details["nothing"]}
    return [
        (stroke, WORDS[column] + (f", {values[column]:.3f}" if column in values else "")) for column, stroke in BITS_STROKES.items()
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


def summary_table(results: Mapping[str, DiffROARResult]) -> Table:
    """Each ranking and level: means, intervals, and the accuracies behind them."""
    measured = ("DiffROAR", "95% interval", "95% at all levels", "Detectable")
    given = ("Given the mask, bits", *(f"{words}, given the mask" for words in measured[1:]))
    accuracies = ("Top", "Bottom", "Mask top", "Mask bottom")
    columns = ("Classifier", "Ranking", "Features kept", *measured, *accuracies, *given, "DiffROAR in bits", "Seeds")
    rows = []
    for name, result in results.items():
        for row in result.summary.to_dict("records"):
            head = (Cell(name), Cell(_ranking(result, row["attribution"])), level_cell(row["level"]))
            learners = [number(row[column], missing=NOT_RUN) for column in ("top", "bottom", "mask_top", "mask_bottom")]
            bits = number(row["bits_mean"], signed=True, missing=NOT_RUN)
            rows.append(
                (*head, *_measured(row, RAW), *learners, *_measured(row, CONDITIONAL), bits, number(row["seeds"], digits=0))
            )
    return Table("DiffROAR by ranking and level: means over seeds, intervals, and the accuracies behind them", columns, tuple(rows))


def _measured(row: Mapping[Any, Any], measure: Measure) -> tuple[Cell, ...]:
    """A measure's mean, its intervals and the smallest detectable difference."""
    mean, low, high, low_all, high_all, detectable = (
        row[f"{measure.prefix}{part}"] for part in ("mean", "low", "high", "low_all", "high_all", "detectable")
    )
    missing = NOT_RUN if np.isnan(mean) else ONE_SEED
    spans = (span(low, high, missing=missing), span(low_all, high_all, missing=missing))
    return number(mean, signed=True, missing=NOT_RUN), *spans, number(detectable, missing=missing)


def _measurement_table(results: Mapping[str, DiffROARResult]) -> Table:
    measured = COLUMNS[3:]
    heads = (column.replace("_", " ").capitalize().replace("roar", "ROAR") for column in measured)
    rows = []
    for name, result in results.items():
        for row in result.table.reindex(columns=list(COLUMNS)).to_dict("records"):
            head = (Cell(name), Cell(_ranking(result, row["attribution"])), level_cell(row["level"]))
            seed = Cell(str(row["seed"]), str(row["seed"]), "number")
            values = [number(row[column], digits=4, signed=column.startswith("diffroar"), missing=NOT_RUN) for column in measured]
            rows.append((*head, seed, *values))
    columns = ("Classifier", "Ranking", "Features kept", "Seed", *heads)
    return Table("Every measurement: one row for each ranking, level and seed", columns, tuple(rows))


def _ranking(result: DiffROARResult, attribution: str) -> str:
    return f"{attribution} (control)" if attribution in result.controls else attribution
