"""Mask recovery's section of the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from markupsafe import Markup

from gradaudit.instruments.mask_recovery import MaskRecoveryResult
from gradaudit.instruments.mask_recovery.options import ABOUT
from gradaudit.instruments.mask_recovery.verdict import HIDDEN, VISIBLE
from gradaudit.markup.rendering import templates
from gradaudit.markup.section import Finding, Section
from gradaudit.markup.share_figures import Point, key_of_points, share_figures
from gradaudit.markup.strokes import Stroke, series_stroke
from gradaudit.markup.tables import Cell, Table, level_cell, number, percent

render = templates(__file__)

THRESHOLD = Stroke("soft", (1, 2))
WORDS = {"auroc": "AUROC", "bits": "Bits a feature", "share": "Share of entropy", "label": "Label's accuracy"}


def mask_recovery_section(results: Mapping[str, MaskRecoveryResult]) -> Section:
    """Mask recovery on the page: each fill's verdict, one figure with all of them, the table, and how to read them."""
    points = list(_points(results))
    return Section(
        anchor="mask-recovery",
        title="Mask recovery",
        question=ABOUT.question,
        findings=tuple(
            Finding(name, fill, verdict) for name, result in results.items() for fill, verdict in result.verdicts.items()
        ),
        overview=render(
            "overview.html",
            figures=_figures(points),
            key=[*key_of_points(points), (THRESHOLD, f"{percent(HIDDEN)} and {percent(VISIBLE)}, where the verdict turns")],
        ),
        body=render(
            "section.html",
            labels=_labels(results),
            measurements=_measurements(results),
            hidden=percent(HIDDEN),
            visible=percent(VISIBLE),
        ),
    )


def _figures(points: list[Point]) -> dict[str, Markup]:
    """Shares recovered, with the verdict's thresholds marked."""
    shares = "; ".join(f"{point.row}, {point.owner}: {percent(round(point.value, 4))}" for point in points)
    return share_figures(
        points,
        [(HIDDEN, THRESHOLD), (VISIBLE, THRESHOLD)],
        name="mask-recovery",
        xlabel="share of the mask recovered",
        label=f"Share of the masks' entropy that is recovered. {shares}",
    )


def _points(results: Mapping[str, MaskRecoveryResult]) -> Iterator[Point]:
    """The share recovered by each fill, at every level and side of each classifier."""
    groups = [
        (name, level, side)
        for name, result in results.items()
        for side in result.settings["sides"]
        for level in result.settings["levels"]
    ]
    for place, (name, level, side) in enumerate(groups):
        rows = results[name].rows("share", level, side).to_dict("index")
        owner = f"{side} {percent(level)}" if len(results) == 1 else f"{name}, {side} {percent(level)}"
        for fill in results[name].fills:
            yield Point(fill, owner, series_stroke(place, 0), *(float(rows[fill][end]) for end in ("value", "low", "high")))


def _labels(results: Mapping[str, MaskRecoveryResult]) -> Table:
    """What the recovered masks tell of the label, beside the true masks and chance."""
    rows = [
        (
            Cell(name),
            Cell(row["fill"]),
            level_cell(row["level"]),
            Cell(row["side"]),
            *(number(row[column]) for column in ("value", "seen", "hidden")),
        )
        for name, result in results.items()
        for row in result.table[result.table["measure"] == "label"].to_dict("records")
    ]
    columns = ("Classifier", "Fill", "Kept", "Side", "From the recovered mask", "From the true mask", "Chance")
    return Table("Accuracy of the label, learned from masks alone", columns, tuple(rows))


def _measurements(results: Mapping[str, MaskRecoveryResult]) -> Table:
    rows = [
        (
            Cell(name),
            Cell(row["fill"]),
            level_cell(row["level"]),
            Cell(row["side"]),
            Cell(WORDS[row["measure"]]),
            *(number(row[column], missing="one seed") for column in ("value", "low", "high", "hidden", "seen")),
        )
        for name, result in results.items()
        for row in result.table.to_dict("records")
    ]
    columns = ("Classifier", "Fill", "Kept", "Side", "Measure", "Value", "95% low", "95% high", "If hidden", "If seen")
    return Table("Every measure with its interval over seeds", columns, tuple(rows))
