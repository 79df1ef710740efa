"""What an audit returns: every instrument's result of every classifier, and the page of all."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pandas as pd
from markupsafe import Markup

from gradaudit.answering import Answer, answers
from gradaudit.auditing.agreement import rank_correlations, scores
from gradaudit.auditing.agreement_section import agreement_section
from gradaudit.auditing.document import SCHEMA, check_document
from gradaudit.auditing.manifest import MANIFEST, renew
from gradaudit.auditing.settings import Settings
from gradaudit.errors import InputError, require
from gradaudit.files import own, writable_folder, write_text
from gradaudit.instruments.load import know_results
from gradaudit.instruments.setup import Setup
from gradaudit.notebooks import first_rows, folded, heading
from gradaudit.report import Pictures, write_page
from gradaudit.results import Result, table_to_csv, table_to_json

TITLE = "Can these classifiers' gradients be trusted?"
TABLES = ("answers", "scores", "rank_correlations", "verdicts")
FILES = {"index.html", "results.json", MANIFEST, *(f"{table}.csv" for table in TABLES)}
DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # which Windows opens instead of a file
UNTRIED = "not tried"  # label of an instrument whose measure was not tried on planted maps
LONGEST = 60  # letters, of up to four bytes each, of a folder's name


@dataclass(frozen=True, eq=False)
class AuditResult:
    """What `audit` returns.

    Args:
        results: for each classifier's name its results by instrument.
        skipped: for each classifier the instruments that were left out, and why.
        settings: all that decided the numbers.
        timings: seconds in all, and of each instrument.
        pictures: images with gradients for the page; none where the audit was loaded.
        facts: for each classifier what else is known of it, in words.
        caveats: what a reader must know before all else; none where the audit was loaded.
        stored: the answers that the audit gave when it was written; None where they follow from the results now.
    """

    results: Mapping[str, Mapping[str, Result]]
    skipped: Mapping[str, Mapping[str, str]]
    settings: Mapping[str, Any]
    timings: Mapping[str, Any]
    pictures: Sequence[Pictures] = ()
    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    caveats: Sequence[str] = ()
    stored: Mapping[str, Answer] | None = None

    @cached_property
    def answer(self) -> Mapping[str, Answer]:
        """For each classifier's name whether its maps can be trusted, why, and what would settle it."""
        return answers(self.results, self.settings) if self.stored is None else self.stored

    @cached_property
    def scores(self) -> pd.DataFrame:
        """One number or two of each instrument for each classifier, with intervals: see `agreement.scores`."""
        return scores(self.results)

    @cached_property
    def agreement(self) -> pd.DataFrame:
        """Spearman's correlation across classifiers of each pair of those numbers: see `agreement.rank_correlations`."""
        return rank_correlations(self.scores)

    def __repr__(self) -> str:
        answered = [f"{name}: {one.label}" for name, one in self.answer.items()]
        verdicts = [f"{name}, {kind}: {one.verdict.label}" for name, kind, one in self._every()]
        return f"AuditResult({'; '.join([*answered, *verdicts])})"

    def _repr_html_(self) -> str:
        """The answers, what must be looked into, the numbers across classifiers, and every verdict; `results` has the figures."""
        answered = (one.html(name) for name, one in self.answer.items())
        caveats = (heading("Look into this first", caveat, ()) for caveat in self.caveats)
        verdicts = (folded(f"{name}, {kind}: {one.verdict.label}", one.verdict) for name, kind, one in self._every())
        return Markup("").join([*answered, *caveats, first_rows(self.scores), *verdicts])

    def _every(self) -> list[tuple[str, str, Result]]:
        return [(name, kind, one) for name, found in self.results.items() for kind, one in found.items()]

    def verdicts(self) -> pd.DataFrame:
        """One row for each classifier and instrument: `classifier`, `instrument`, `label`, `calibrated`, `finding`, `sentence`.

        `label` is what the answer would be by this instrument alone (`trust`, `do not trust`, `not settled`), `unlike any known`
        where no planted map is like the audited images, and `not tried` where its measure was not tried on planted maps.
        `calibrated` says what became of planted maps with such numbers. `finding` and `sentence` are the instrument's own words.
        """
        rows = [
            (name, kind, *self._calibrated(name, kind), one.verdict.label, one.verdict.sentence)
            for name, kind, one in self._every()
        ]
        return pd.DataFrame(rows, columns=["classifier", "instrument", "label", "calibrated", "finding", "sentence"])

    def _calibrated(self, name: str, kind: str) -> tuple[str, str]:
        """Label and words of the instrument's numbers; each by name where labels differ."""
        found = [one for one in self.answer[name].readings if one.instrument == kind and one.label]
        labels = [*dict.fromkeys(one.label for one in found)] or [UNTRIED]
        several = len({one.words for one in found}) > 1
        words = (f"{one.measure}, {one.subject}: {one.words}" if several else one.words for one in found)
        return "; ".join(labels), "; ".join(dict.fromkeys(words))

    def _answers(self) -> pd.DataFrame:
        rows = [(name, one.label, one.sentence, one.settle) for name, one in self.answer.items()]
        return pd.DataFrame(rows, columns=["classifier", "label", "sentence", "settle"])

    def to_json(self) -> dict[str, Any]:
        """The whole audit as JSON values, as its JSON Schema says (`gradaudit schema`)."""
        return {
            "schema": SCHEMA,
            "kind": "audit",
            "answers": {name: one.to_json() for name, one in self.answer.items()},
            "results": {name: {kind: one.to_json() for kind, one in found.items()} for name, found in self.results.items()},
            "skipped": {name: dict(reasons) for name, reasons in self.skipped.items()},
            "scores": table_to_json(self.scores),
            "rank_correlations": table_to_json(self.agreement),
            "settings": dict(self.settings),
            "timings": dict(self.timings),
        }

    def write(self, folder: str | os.PathLike[str], *, title: str = TITLE, command: str | None = None) -> Path:
        """Write `index.html`, `results.json`, tables, and each result in a folder of its own; return the page.

        What an earlier report wrote there and this one does not, as the folder of another classifier, is removed, unless somebody
        has changed it: `manifest.json` says what a report wrote.

        Args:
            folder: made if need be.
            title: the page's heading.
            command: what a reader types to get the same numbers; a call of `ga.audit` unless given.

        Raises:
            InputError: the folder can't be written.
            StoreError: a file can't be, for instance because the disk is full.
        """
        target = writable_folder("folder", folder)
        written = [file for name, kind, one in self._every() for file in one.write_files(target / folder_of(name) / kind)]
        for table, rows in zip(TABLES, (self._answers(), self.scores, self.agreement, self.verdicts()), strict=True):
            written.append(write_text(target / f"{table}.csv", table_to_csv(rows)))
        page = write_page(
            target / "index.html",
            title=title,
            results={name: [*found.values()] for name, found in self.results.items() if found},
            answers={name: one for name, one in self.answer.items() if self.results.get(name)},
            pictures=[*self.pictures] or None,
            facts={name: known for name, known in self.facts.items() if self.results.get(name)},
            command=command or self._call(),
            seconds=self.timings.get("seconds"),
            skipped=self._reasons(),
            caveats=self.caveats,
            extra=[agreement_section(self.scores, self.agreement)] if len(self.scores) else [],
        )
        document = write_text(target / "results.json", json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n")
        renew(target, [*written, page, document])
        return page

    def _reasons(self) -> dict[str, str]:
        """The reason for each instrument that was left out; for whom, where it is not all classifiers."""
        found: dict[str, dict[str, list[str]]] = {}
        for name, reasons in self.skipped.items():
            for kind, reason in reasons.items():
                found.setdefault(kind, {}).setdefault(reason, []).append(name)
        every = set(self.results)
        return {
            kind: "; ".join(reason if set(names) == every else f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
            for kind, reasons in found.items()
        }

    def _call(self) -> str:
        options = {key: self.settings[key] for key in ("preset", "seed")}
        words = ", ".join(f"{key}={value!r}" for key, value in options.items())
        return shlex.join(["python", "-c", f"import gradaudit as ga; ga.audit(classifiers, train, test, {words}).write('report')"])


def settings_of(setup: Setup, settings: Settings, preset: str) -> dict[str, Any]:
    """What decided an audit's numbers, in JSON values."""
    return {
        "preset": preset,
        "options": json.loads(json.dumps(settings.options, default=str)),
        "classifiers": [*setup.classifiers],
        "oracles": [*setup.oracles] or "the other audited classifiers",
        "denoiser": None if setup.denoiser is None else setup.denoiser.description,
        "robust_helper": setup.robust is not None,
        "train_images": len(setup.train),
        "test_images": len(setup.test),
        "train_fingerprint": setup.train.fingerprint,
        "test_fingerprint": setup.test.fingerprint,
        "classes": list(setup.test.classes),
        "shape": list(setup.test.shape),
        "seed": setup.run.seed,
        "device": setup.run.device.type,
    }


def folder_of(name: str) -> str:
    """The folder in which the results of the classifier of that name are: a name that any file system takes, and no file's."""
    found = re.sub(r"[^\w.-]+", "_", normalize("NFC", name)).strip("._")[:LONGEST].rstrip(".") or "classifier"
    if DEVICE.fullmatch(found):
        return f"classifier_{found}"
    return f"{found}_" if found.casefold() in FILES else found


def load_audit(folder: str | os.PathLike[str]) -> AuditResult:
    """The audit that `write` wrote to `folder`, without the pictures of gradients.

    Its answers are those that were written; of an audit from before there were any, those that its results give now.

    Raises:
        InputError: there is none, or it is damaged.
    """
    path = own(folder) / "results.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError("folder", str(folder), f"a folder with the readable results.json of an audit ({error})") from error
    require(isinstance(data, dict) and data.get("kind") == "audit", "folder", str(folder), "a folder that `gradaudit audit` wrote")
    check_document(data)
    know_results()
    results = {
        name: {kind: Result.from_json(document) for kind, document in found.items()} for name, found in data["results"].items()
    }
    stored = data.get("answers")
    given = None if stored is None else {name: Answer.from_json(one) for name, one in stored.items()}
    return AuditResult(results, data["skipped"], data["settings"], data["timings"], stored=given)
