"""What changed between two audits, as a section of the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from markupsafe import Markup

from gradaudit.markup.rendering import templates
from gradaudit.markup.section import Section, spoken
from gradaudit.markup.tables import Cell, Table, interval

render = templates(__file__)

CHANGES = ("better", "worse")
ENDS = ("", "_low", "_high")


def comparison_section(table: pd.DataFrame, verdicts: pd.DataFrame, answers: pd.DataFrame, settings: pd.DataFrame) -> Section:
    """The answers, verdicts that changed, then numbers before and after with their difference, then the settings that differ.

    Args:
        table: as `Comparison` has it.
        verdicts: likewise.
        answers: likewise.
        settings: likewise.
    """
    body = render(
        "comparison.html",
        summaries=[*_summaries(table, verdicts, answers)],
        verdicts=_verdicts(verdicts),
        numbers=_numbers(table),
        count=len(table),
        settings=_settings(settings) if len(settings) else None,
    )
    return Section(
        anchor="comparison",
        title="What changed",
        question="Did the answer change, which verdicts did, and which numbers by more than their intervals?",
        findings=(),
        overview=Markup(""),
        body=body,
    )


def _summaries(table: pd.DataFrame, verdicts: pd.DataFrame, answers: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """What changed of each classifier, in words."""
    for name, rows in table.groupby("classifier", sort=False):
        own = verdicts[verdicts["classifier"] == name]
        turned = own[own["before"] != own["after"]].to_dict("records")
        words = "; ".join(f"{spoken(row['instrument'])} from {row['before']} to {row['after']}" for row in turned)
        counts = ", ".join(f"{(rows['change'] == change).sum()} {change}" for change in CHANGES)
        rest = len(rows) - int(rows["change"].isin(CHANGES).sum())
        (answer,) = answers[answers["classifier"] == name].to_dict("records")
        said = f"{answered(answer)}. {len(turned)} of {len(own)} verdicts changed{': ' if words else ''}{words}"
        yield str(name), f"{said}. Of {len(rows)} numbers {counts} by more than their intervals, {rest} not"


def answered(row: Mapping[Any, Any]) -> str:
    """What became of an answer, in words; from a row of `Comparison.answers`."""
    if row["before"] == row["after"]:
        return f"the answer is {row['after']}, as before: {row['after_sentence']}"
    return f"the answer was {row['before']} and is {row['after']}: {row['after_sentence']}; before, {row['before_sentence']}"


def _verdicts(verdicts: pd.DataFrame) -> Table:
    rows = [
        (
            Cell(row["classifier"]),
            Cell(spoken(row["instrument"])),
            Cell(row["before"]),
            Cell(row["after"]),
            Cell("changed" if row["before"] != row["after"] else "the same"),
        )
        for row in verdicts.to_dict("records")
    ]
    return Table("Verdicts, those that changed first", ("Classifier", "Instrument", "Before", "After", "Change"), tuple(rows))


def _numbers(table: pd.DataFrame) -> Table:
    rows = [
        (
            Cell(row["classifier"]),
            Cell(row["measure"]),
            Cell(row["change"]),
            *(interval(*(row[f"{when}{end}"] for end in ENDS)) for when in ("before", "after")),
            interval(*(row[f"difference{end}"] for end in ENDS), signed=True),
        )
        for row in table.to_dict("records")
    ]
    columns = ("Classifier", "Number", "Change", "Before", "After", "Difference")
    return Table("Numbers before and after, and their difference, with 95% intervals", columns, tuple(rows))


def _settings(settings: pd.DataFrame) -> Table:
    rows = [tuple(Cell(str(value).replace("_", " ")) for value in row) for row in settings.itertuples(index=False)]
    return Table("Settings that differ", ("Setting", "Before", "After"), tuple(rows), sortable=False)
