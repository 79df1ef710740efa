"""Two audits side by side: a model before and after a change."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gradaudit.auditing.comparability import caveats, setting_differences
from gradaudit.auditing.comparison_section import comparison_section
from gradaudit.auditing.result import AuditResult, load_audit
from gradaudit.errors import require
from gradaudit.files import writable_folder, write_text
from gradaudit.report import write_page
from gradaudit.results import Result, table_to_csv

TITLE = "Before and after"
ENDS = (("value", ""), ("low", "_low"), ("high", "_high"))
SAID = ("before", "after", "before_sentence", "after_sentence")
WITHIN, NO_INTERVALS = "within the intervals", "no intervals"


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare` returns.

    Args:
        table: a row for each classifier and number: `classifier`, `instrument`, `measure`, `before`, `before_low`, `before_high`,
            `after`, `after_low`, `after_high`, `difference` (after - before), `difference_low`, `difference_high`, and `change`:
            `better` or `worse` where the difference's interval excludes 0, else `within the intervals`, or `no intervals` where
            one is missing. The interval is made of those before and after as if they were independent (Zou and Donner 2008,
            Statistics in Medicine 27, equation 2); of the same images and seeds they are not, and it is rather too wide.
        verdicts: a row for each classifier and instrument: the labels and sentences `before`, `after`, `before_sentence`,
            `after_sentence`; those that changed come first. The labels are what each instrument found.
        answers: the same of the answers, a row for each classifier.
        settings: a row for each setting that differs: `setting`, `before`, `after`.
        caveats: what the two audits don't share, a sentence each.
        results: both audits' results by the names that the page gives them.
    """

    table: pd.DataFrame
    verdicts: pd.DataFrame
    answers: pd.DataFrame
    settings: pd.DataFrame
    caveats: tuple[str, ...]
    results: dict[str, list[Result]]

    @property
    def changed(self) -> pd.DataFrame:
        """The verdicts that changed."""
        return self.verdicts[self.verdicts["before"] != self.verdicts["after"]]

    def write(self, folder: str | os.PathLike[str], *, command: str = "gradaudit compare BEFORE AFTER") -> Path:
        """Write `answers.csv`, `comparison.csv`, `verdicts.csv`, `settings.csv` and a page that compares first and then shows
        both; return it.
        """
        target = writable_folder("folder", folder)
        tables = {"answers": self.answers, "comparison": self.table, "verdicts": self.verdicts, "settings": self.settings}
        for name, rows in tables.items():
            write_text(target / f"{name}.csv", table_to_csv(rows))
        return write_page(
            target / "index.html",
            title=TITLE,
            results=self.results,
            pictures=None,
            facts={},
            command=command,
            seconds=None,
            first=[comparison_section(self.table, self.verdicts, self.answers, self.settings)],
            caveats=self.caveats,
        )


def compare(before: AuditResult | str | os.PathLike[str], after: AuditResult | str | os.PathLike[str]) -> Comparison:
    """What changed between two audits, classifier by classifier: the same names, or the only one of each.

    Args:
        before: an audit, or the folder of one.
        after: likewise.

    Raises:
        InputError: a folder without an audit, or two audits that have no classifier or no instrument in common.
    """
    old, new = (one if isinstance(one, AuditResult) else load_audit(one) for one in (before, after))
    pairs = _pairs(old, new)
    require(
        bool(pairs), "after", [*new.results], f"an audit with a classifier in common with the first one: {', '.join(old.results)}"
    )
    table = pd.concat([_numbers(old, new, *pair) for pair in pairs], ignore_index=True)
    require(len(table) > 0, "after", [*new.results], "an audit with an instrument in common with the first one")
    results = {}
    for first, second in pairs:
        results[f"before: {first}"] = [*old.results[first].values()]
        results[f"after: {second}"] = [*new.results[second].values()]
    settings = setting_differences(old, new)
    answers = _answers(old, new, pairs)
    return Comparison(table, _verdicts(old, new, pairs), answers, settings, caveats(old, new, settings, pairs), results)


def _pairs(old: AuditResult, new: AuditResult) -> list[tuple[str, str]]:
    if len(old.results) == len(new.results) == 1:
        return [(next(iter(old.results)), next(iter(new.results)))]
    return [(name, name) for name in old.results if old.results[name] and new.results.get(name)]


def _numbers(old: AuditResult, new: AuditResult, first: str, second: str) -> pd.DataFrame:
    one, two = (audit.scores[audit.scores["classifier"] == name] for audit, name in ((old, first), (new, second)))
    both = one.merge(two, on=["instrument", "measure", "better"], suffixes=("_before", "_after"))
    difference = both["value_after"] - both["value_before"]
    low, high = _interval(both)
    change = np.where(difference * both["better"] > 0, "better", "worse")
    change = np.where((low > 0) | (high < 0), change, np.where(low.isna(), NO_INTERVALS, WITHIN))
    return pd.DataFrame(
        {
            "classifier": _called(first, second),
            "instrument": both["instrument"],
            "measure": both["measure"],
            **{f"{when}{suffix}": both[f"{column}_{when}"] for when in ("before", "after") for column, suffix in ENDS},
            "difference": difference,
            "difference_low": low,
            "difference_high": high,
            "change": change,
        }
    )


def _interval(both: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """The ends of the difference's interval, from those of its two parts; NaN where one has none."""
    down, up = (
        {when: (both[f"{end}_{when}"] - both[f"value_{when}"]) ** 2 for when in ("before", "after")} for end in ("low", "high")
    )
    difference = both["value_after"] - both["value_before"]
    return difference - np.sqrt(down["after"] + up["before"]), difference + np.sqrt(up["after"] + down["before"])


def _verdicts(old: AuditResult, new: AuditResult, pairs: list[tuple[str, str]]) -> pd.DataFrame:
    rows = []
    for first, second in pairs:
        for kind, result in old.results[first].items():
            if kind in new.results[second]:
                both = [result.verdict, new.results[second][kind].verdict]
                said = [*(verdict.label for verdict in both), *(verdict.sentence for verdict in both)]
                rows.append((_called(first, second), kind, *said))
    found = pd.DataFrame(rows, columns=["classifier", "instrument", *SAID])
    same = (found["before"] == found["after"]).astype(int)
    return found.loc[same.sort_values(kind="stable").index].reset_index(drop=True)


def _answers(old: AuditResult, new: AuditResult, pairs: list[tuple[str, str]]) -> pd.DataFrame:
    rows = []
    for first, second in pairs:
        both = old.answer[first], new.answer[second]
        rows.append((_called(first, second), *(one.label for one in both), *(one.sentence for one in both)))
    return pd.DataFrame(rows, columns=["classifier", *SAID])


def _called(first: str, second: str) -> str:
    return first if first == second else f"{first} / {second}"
