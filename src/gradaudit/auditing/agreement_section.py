"""Do the instruments agree? As a section of the page."""

from __future__ import annotations

import pandas as pd
from markupsafe import Markup

from gradaudit.markup.rendering import templates
from gradaudit.markup.section import Section
from gradaudit.markup.tables import Cell, Table, interval, number

render = templates(__file__)

NO_INTERVAL = "no interval"
ENDS = ("value", "low", "high")


def agreement_section(scores: pd.DataFrame, correlations: pd.DataFrame) -> Section:
    """The table of numbers across classifiers, and the rank correlations of the instruments.

    Args:
        scores: as `agreement.scores` gives them.
        correlations: as `agreement.rank_correlations` gives them.
    """
    classifiers = [*dict.fromkeys(scores["classifier"])]
    correlated = correlations["correlation"].notna().any()
    body = render(
        "agreement.html",
        numbers=_numbers(scores, classifiers),
        correlations=_correlations(correlations) if correlated else None,
        count=len(classifiers),
    )
    return Section(
        anchor="agreement",
        title="Do the instruments agree?",
        question="Do the instruments put the classifiers in the same order?",
        findings=(),
        overview=Markup(""),
        body=body,
    )


def _numbers(scores: pd.DataFrame, classifiers: list[str]) -> Table:
    rows = []
    for measure, found in scores.groupby("measure", sort=False):
        values = {row["classifier"]: row for row in found.to_dict("records")}
        better = "larger" if found["better"].iloc[0] > 0 else "smaller"
        missing = Cell("not measured", kind="missing")
        cells = [interval(*(values[name][end] for end in ENDS)) if name in values else missing for name in classifiers]
        rows.append((Cell(str(measure)), Cell(better), *cells))
    return Table(
        "One number of each instrument, with its 95% interval", ("Number", "Trust it more where", *classifiers), tuple(rows)
    )


def _correlations(correlations: pd.DataFrame) -> Table:
    rows = [
        (
            Cell(row["one"]),
            Cell(row["other"]),
            number(row["classifiers"], digits=0),
            number(row["correlation"], digits=2, signed=True, missing="undefined"),
            number(row["p"], digits=3, missing="undefined"),
        )
        for row in correlations.to_dict("records")
    ]
    columns = ("One number", "The other", "Classifiers", "Rank correlation", "p")
    return Table("Rank correlation across classifiers, all numbers turned so that more is better", columns, tuple(rows))
