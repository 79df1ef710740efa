"""What two audits don't share: images, settings, versions, and what only one of them has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from gradaudit.auditing.result import AuditResult
from gradaudit.markup.section import spoken

IMAGES = {"train": "training", "test": "test"}
OTHERS = ("preset", "seed", "denoiser", "robust_helper", "oracles", "device", "classes", "shape")
COLUMNS = ("setting", "before", "after")
LONGEST = 120  # letters of a value


def setting_differences(old: AuditResult, new: AuditResult) -> pd.DataFrame:
    """A row for each setting that differs, as text: `setting`, `before`, `after`; options and versions among them."""
    one, other = (dict(_settings(audit)) for audit in (old, new))
    rows = [(name, one.get(name, "not set"), other.get(name, "not set")) for name in dict.fromkeys([*one, *other])]
    return pd.DataFrame([row for row in rows if row[1] != row[2]], columns=list(COLUMNS))


def caveats(old: AuditResult, new: AuditResult, settings: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """What a reader must know before comparing, a sentence each; nothing where the audits differ in their classifiers alone.

    Args:
        old: the audit before.
        new: the audit after.
        settings: from `setting_differences`.
        pairs: of the classifiers that are compared, their names before and after.
    """
    named = {str(row["setting"]): (row["before"], row["after"]) for row in settings.to_dict("records")}
    return (
        *_other_images(old, new),
        *(f"the {name.replace('_', ' ')} differs: {' before, '.join(named[name])} after" for name in OTHERS if name in named),
        *_other_options(settings["setting"]),
        *_other_versions(named),
        *_only_one(old, new, pairs),
    )


def _settings(audit: AuditResult) -> Iterator[tuple[str, str]]:
    for part, words in IMAGES.items():
        yield f"{words} images", _words(audit.settings.get(f"{part}_images"))
        yield f"{words} images' fingerprint", str(audit.settings.get(f"{part}_fingerprint"))[:12]
    for name in OTHERS:
        yield name, _words(audit.settings.get(name))
    for kind, options in (audit.settings.get("options") or {}).items():
        if options is None:
            yield f"{kind}: run", "no"
        for option, value in (options or {}).items():
            yield f"{kind}: {option}", _words(value)
    yield from _versions(audit)


def _versions(audit: AuditResult) -> Iterator[tuple[str, str]]:
    found: dict[str, dict[str, None]] = {}
    for results in audit.results.values():
        for result in results.values():
            for package, version in result.versions.items():
                found.setdefault(package, {})[version] = None
    for package, versions in found.items():
        yield f"version of {package}", ", ".join(versions)


def _other_images(old: AuditResult, new: AuditResult) -> Iterator[str]:
    for part, words in IMAGES.items():
        if old.settings.get(f"{part}_fingerprint") != new.settings.get(f"{part}_fingerprint"):
            old_count, new_count = (audit.settings.get(f"{part}_images", 0) for audit in (old, new))
            counts = f"as many, {old_count:,}" if old_count == new_count else f"{old_count:,} before, {new_count:,} after"
            yield f"the {words} images are others: {counts}"


def _other_options(settings: pd.Series) -> Iterator[str]:
    """A sentence for each instrument that was run with other options, or by one audit alone by choice."""
    found: dict[str, list[str]] = {}
    for name in settings:
        kind, colon, option = str(name).partition(": ")
        if colon:
            found.setdefault(kind, []).append(option)
    for kind, options in found.items():
        if "run" not in options:
            yield f"{spoken(kind)} was run with other options: {', '.join(options)}"


def _other_versions(named: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    changed = [
        f"{name.removeprefix('version of ')} {one} to {other}" for name, (one, other) in named.items() if "version of" in name
    ]
    if changed:
        yield f"they were computed by other software: {', '.join(changed)}"


def _only_one(old: AuditResult, new: AuditResult, pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Classifiers, instruments and numbers that are not compared, as only one audit has them."""
    for when, audit, place in (("before", old, 0), ("after", new, 1)):
        alone = [name for name in audit.results if name not in {pair[place] for pair in pairs}]
        if alone:
            yield f"only the audit {when} has {', '.join(alone)}"
    for first, second in pairs:
        yield from _only_of(first, set(old.results[first]), set(new.results[second]), "")
        both = set(old.results[first]) & set(new.results[second])
        one, other = (
            {measure for kind, measure in _measures(audit, name) if kind in both} for audit, name in ((old, first), (new, second))
        )
        yield from _only_of(first, one, other, "a number under another name, ")


def _only_of(name: str, one: set[str], other: set[str], before: str) -> Iterator[str]:
    for when, alone in (("before", one - other), ("after", other - one)):
        if alone:
            yield f"of {name}, only the audit {when} has {before}{', '.join(sorted(map(spoken, alone)))}"


def _measures(audit: AuditResult, name: str) -> set[tuple[str, str]]:
    rows = audit.scores[audit.scores["classifier"] == name]
    return set(zip(rows["instrument"], rows["measure"], strict=True))


def _words(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, (list, tuple)) and all(isinstance(one, (str, int, float)) for one in value):
        text = ", ".join(map(str, value))
    else:
        text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
