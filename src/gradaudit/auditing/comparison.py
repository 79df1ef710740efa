"""Two audits side by side: a model before and after a change."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from torch import nn

from gradaudit.auditing.comparability import caveats, setting_differences
from gradaudit.auditing.comparison_section import comparison_section
from gradaudit.auditing.disagreement import SEEN_BY, DisagreementOptions, check_pair, disagreements
from gradaudit.auditing.disagreement_section import disagreement_section
from gradaudit.auditing.result import AuditResult, load_audit
from gradaudit.diffusion import Denoiser
from gradaudit.errors import require
from gradaudit.files import writable_folder, write_text
from gradaudit.images import ImageSet
from gradaudit.instruments.counterfactual import CounterfactualResult
from gradaudit.options import takes
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
        disagreement: counterfactuals about which the two classifiers disagree, by who sees the target: `before` and `after`; empty
            where the classifiers were not given.
    """

    table: pd.DataFrame
    verdicts: pd.DataFrame
    answers: pd.DataFrame
    settings: pd.DataFrame
    caveats: tuple[str, ...]
    results: dict[str, list[Result]]
    disagreement: Mapping[str, CounterfactualResult] = field(default_factory=dict)

    @property
    def disagreements(self) -> pd.DataFrame:
        """Shares and means of `disagreement`, with 95 % intervals: `seen_by` and the columns of `CounterfactualResult.summary`."""
        found = [one.summary.assign(seen_by=who) for who, one in self.disagreement.items()]
        return pd.concat(found, ignore_index=True)[["seen_by", *found[0].columns[:-1]]] if found else pd.DataFrame()

    @property
    def changed(self) -> pd.DataFrame:
        """The verdicts that changed."""
        return self.verdicts[self.verdicts["before"] != self.verdicts["after"]]

    def write(self, folder: str | os.PathLike[str], *, command: str = "gradaudit compare BEFORE AFTER") -> Path:
        """Write `answers.csv`, `comparison.csv`, `verdicts.csv`, `settings.csv`, `disagreements.csv` where there are any, and a
        page that compares first and then shows both; return it.
        """
        target = writable_folder("folder", folder)
        tables = {"answers": self.answers, "comparison": self.table, "verdicts": self.verdicts, "settings": self.settings}
        if self.disagreement:
            tables["disagreements"] = self.disagreements
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
            first=[
                comparison_section(self.table, self.verdicts, self.answers, self.settings),
                *([disagreement_section(self.disagreement)] if self.disagreement else []),
            ],
            caveats=self.caveats,
        )


@takes(DisagreementOptions)
def compare(
    before: AuditResult | str | os.PathLike[str],
    after: AuditResult | str | os.PathLike[str],
    *,
    classifiers: Sequence[nn.Module] | None = None,
    images: ImageSet | None = None,
    denoiser: Denoiser | None = None,
    robust: nn.Module | None = None,
    oracles: Mapping[str, nn.Module] | None = None,
    options: DisagreementOptions,
) -> Comparison:
    """What changed between two audits, classifier by classifier: the same names, or the only one of each.

    An audit keeps no classifier. Given both, and images, each image is changed until the one before sees its second guess while the
    one after keeps its class, and the other way round.

    Args:
        before: an audit, or the folder of one.
        after: likewise.
        classifiers: the audited one before and the one after, or None.
        images: those that are to change; both classifiers' classes.
        denoiser: of such images, for methods that need one.
        robust: as `counterfactual` has it.
        oracles: likewise: they say which of the two is right.
        {options}

    Raises:
        InputError: a folder without an audit, two audits that have no classifier or no instrument in common, or classifiers that
            are not the audited ones or that have no images to disagree about.
        StoreError: the store can't be written.
    """
    old, new = (one if isinstance(one, AuditResult) else load_audit(one) for one in (before, after))
    pairs = _pairs(old, new)
    require(
        bool(pairs), "after", [*new.results], f"an audit with a classifier in common with the first one: {', '.join(old.results)}"
    )
    table = pd.concat([_numbers(old, new, *pair) for pair in pairs], ignore_index=True)
    require(len(table) > 0, "after", [*new.results], "an audit with an instrument in common with the first one")
    apart: Mapping[str, CounterfactualResult] = {}
    if classifiers is not None:
        check_pair(classifiers, images, {name: audit.results[own] for name, audit, own in _audited(old, new, pairs)})
        assert images is not None  # as was checked
        apart = disagreements(classifiers, images, denoiser, robust, oracles, options)
    results = {}
    for first, second in pairs:
        results[f"before: {first}"] = [*old.results[first].values()]
        results[f"after: {second}"] = [*new.results[second].values()]
    settings = setting_differences(old, new)
    answers = _answers(old, new, pairs)
    return Comparison(table, _verdicts(old, new, pairs), answers, settings, caveats(old, new, settings, pairs), results, apart)


def _audited(old: AuditResult, new: AuditResult, pairs: list[tuple[str, str]]) -> list[tuple[str, AuditResult, str]]:
    """Who is before and who after, each with the audit and the name in it.

    Raises:
        InputError: there are several pairs.
    """
    names = [_called(*pair) for pair in pairs]
    require(len(pairs) == 1, "classifiers", names, "left out, or given with audits that have one classifier in common")
    return [(when, audit, name) for when, audit, name in zip(SEEN_BY, (old, new), pairs[0], strict=True)]


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
