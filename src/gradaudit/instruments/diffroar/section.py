"""DiffROAR's section of the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from gradaudit.instruments.diffroar import DiffROARResult
from gradaudit.instruments.diffroar.measures import COLUMNS, CONDITIONAL, RAW, VALUES, Measure
from gradaudit.instruments.diffroar.options import ABOUT
from gradaudit.instruments.diffroar.section_figures import (
    BITS_STROKES,
    VALUES_STROKES,
    accuracy_figure,
    accuracy_strokes,
    bits_figure,
    curve_rows,
    difference_figures,
    values_figure,
)
from gradaudit.markup.level_figures import Curve
from gradaudit.markup.rendering import templates
from gradaudit.markup.section import Finding, Section
from gradaudit.markup.strokes import Stroke, control_stroke, series_stroke
from gradaudit.markup.tables import Cell, Table, level_cell, number, percent, span

render = templates(__file__)

NOT_RUN = "not run"
ONE_SEED = "one seed"
SIGNED = ("diffroar", "values", "selection", "swap", "as_read")
WORDS = {
    "values_top": "top-ranked features",
    "values_bottom": "bottom-ranked features",
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


def diffroar_section(results: Mapping[str, DiffROARResult]) -> Section:
    """DiffROAR on the page: verdicts, one figure with all curves, what is behind them, tables, and how to read them."""
    read, retrained = by_protocol(results)
    bodies = [one for one in (_values_body(read), _retrained_body(retrained)) if one is not None]
    return Section(
        anchor="diffroar",
        title="DiffROAR",
        question=ABOUT.question,
        findings=tuple(findings(results)),
        overview=render("overview.html", figures=overview_figures(results)),
        body=Markup("").join(bodies),
    )


def by_protocol(results: Mapping[str, DiffROARResult]) -> tuple[dict[str, DiffROARResult], dict[str, DiffROARResult]]:
    """The results of evaluators, and those of retraining."""
    read = {name: result for name, result in results.items() if result.of_values}
    return read, {name: result for name, result in results.items() if name not in read}


def overview_figures(results: Mapping[str, DiffROARResult], identity: str = "") -> list[dict[str, object]]:
    """A figure for each measure that some of the results have."""
    read, retrained = by_protocol(results)
    given = {name: result for name, result in retrained.items() if result.conditional_verdicts}
    shown = ((read, VALUES), (retrained, RAW), (given, CONDITIONAL))
    return [overview_figure(found, measure, identity) for found, measure in shown if found]


def _values_body(results: Mapping[str, DiffROARResult]) -> Markup | None:
    if not results:
        return None
    return render(
        "section_values.html",
        panels=_values_panels(results),
        gaps=gap_table(results),
        summary=values_table(results),
        measurements=_measurement_table(results),
        controls={control.partition("(")[0] for result in results.values() for control in result.controls},
        fills=sorted({str(result.settings["fill"]) for result in results.values()}),
        networks=sorted({str(result.settings["evaluator"]["network"]) for result in results.values()}),
        masks=list(dict.fromkeys(mask for result in results.values() for mask in result.settings["masks"])),
        selected=any(result.table["selection_top"].notna().any() for result in results.values()),
    )


def _values_panels(results: Mapping[str, DiffROARResult]) -> list[dict[str, object]]:
    """For each audited attribution of each classifier: heading, verdict, what top and bottom tell, and the key."""
    pairs = [(name, result, attribution) for name, result in results.items() for attribution in result.audited]
    panels = []
    for place, (name, result, attribution) in enumerate(pairs):
        rows = result.summary[result.summary["attribution"] == attribution].to_dict("records")
        points = "; ".join(
            f"{percent(row['level'])}: top {row['values_top_mean']:.3f}, bottom {row['values_bottom_mean']:.3f}" for row in rows
        )
        label = f"Bits of the label that kept pixels tell against the share of features kept, {name}, {attribution}. {points}"
        whole = result.details["nothing"] - float(np.mean(result.details["whole_bits"]))
        words = WORDS | {"whole": f"whole images, {whole:.3f}", "chance": "nothing"}
        panels.append(
            {
                "classifier": name,
                "attribution": attribution,
                "verdict": result.verdicts[attribution],
                "figure": values_figure(result, attribution, f"diffroar-values-{place}", label),
                "key": [(stroke, words[column]) for column, stroke in VALUES_STROKES.items()],
            }
        )
    return panels


def values_table(results: Mapping[str, DiffROARResult]) -> Table:
    """Each ranking and level: bits of values, their intervals, and what bounds their error."""
    selected = any(result.table["selection_top"].notna().any() for result in results.values())
    chosen = ("Selection, top", "Selection, bottom") if selected else ()
    bounds = ("Read from the choice, top", "Read from the choice, bottom", "As read, top", "As read, bottom")
    heads = ("Values, bits", "95% interval", "95% at all levels", "Detectable", "Top, bits", "Bottom, bits")
    accuracies = ("Accuracy, top", "Accuracy, bottom")
    columns = ("Classifier", "Ranking", "Features kept", *heads, *chosen, *bounds, *accuracies, "Seeds")
    parts = [f"{kind}_{side}_mean" for kind in ("swap", "as_read") for side in ("top", "bottom")]
    rows = []
    for name, result in results.items():
        for row in result.summary.to_dict("records"):
            head = (Cell(name), Cell(_ranking(result, row["attribution"])), level_cell(row["level"]))
            sides = [number(row[f"values_{side}_mean"], signed=True) for side in ("top", "bottom")]
            wanted = [f"selection_{side}_mean" for side in ("top", "bottom")] if selected else []
            more = [number(row.get(column, float("nan")), signed=True, missing=NOT_RUN) for column in (*wanted, *parts)]
            accuracy = [number(row[side]) for side in ("top", "bottom")]
            rows.append((*head, *_measured(row, VALUES), *sides, *more, *accuracy, number(row["seeds"], digits=0)))
    return Table("DiffROAR of values by ranking and level, in bits: means over seeds and intervals", columns, tuple(rows))


def gap_table(results: Mapping[str, DiffROARResult]) -> Table | None:
    """What networks of a single kind of mask know beyond the evaluators; None where none was trained."""
    heads = ("Known to a network of these alone, bits", "More than the evaluator", "95% interval")
    rows = [
        (
            Cell(name),
            level_cell(gap["level"]),
            number(gap["alone"]),
            number(gap["mean"], signed=True),
            span(gap["low"], gap["high"], missing=ONE_SEED),
        )
        for name, result in results.items()
        for gap in result.details["gap"]
    ]
    columns = ("Classifier", "Random pixels kept", *heads)
    return Table("The evaluator against networks of one kind of mask", columns, tuple(rows)) if rows else None


def _retrained_body(results: Mapping[str, DiffROARResult]) -> Markup | None:
    if not results:
        return None
    given = {name: result for name, result in results.items() if result.conditional_verdicts}
    return render(
        "section.html",
        panels=_panels(results),
        bits_panels=_bits_panels(given),
        summary=summary_table(results),
        measurements=_measurement_table(results),
        controls={control.partition("(")[0] for result in results.values() for control in result.controls},
        masks=any(result.table["mask_top"].notna().any() for result in results.values()),
        fills=sorted({str(result.settings["fill"]) for result in results.values()}),
        learners=sorted({str(result.settings["learner"]["network"]) for result in results.values()}),
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
    measured = [column for column in COLUMNS[3:] if any(_has(result, column) for result in results.values())]
    heads = (column.replace("_", " ").capitalize().replace("roar", "ROAR") for column in measured)
    rows = []
    for name, result in results.items():
        for row in result.table.reindex(columns=list(COLUMNS)).to_dict("records"):
            head = (Cell(name), Cell(_ranking(result, row["attribution"])), level_cell(row["level"]))
            seed = Cell(str(row["seed"]), str(row["seed"]), "number")
            values = [number(row[column], digits=4, signed=column.startswith(SIGNED), missing=NOT_RUN) for column in measured]
            rows.append((*head, seed, *values))
    columns = ("Classifier", "Ranking", "Features kept", "Seed", *heads)
    return Table("Every measurement: one row for each ranking, level and seed", columns, tuple(rows))


def _has(result: DiffROARResult, column: str) -> bool:
    return column in result.table and bool(result.table[column].notna().any())


def _ranking(result: DiffROARResult, attribution: str) -> str:
    return f"{attribution} (control)" if attribution in result.controls else attribution
