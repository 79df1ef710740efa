"""The audit as a document: its JSON Schema, with a version, and the check that a file follows it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gradaudit.auditing.settings import preset_names
from gradaudit.errors import InputError
from gradaudit.instruments.contract import about, audited
from gradaudit.options import option_schema

SCHEMA = 1


class VerdictDocument(BaseModel):
    """What an instrument said."""

    model_config = ConfigDict(extra="forbid")

    label: str = Field(description="One word.")
    sentence: str = Field(description="The same in plain words, with the numbers that decide it.")
    caveats: list[str] = Field(description="What a reader must know before relying on it.")


class ColumnDocument(BaseModel):
    """A column of a table."""

    model_config = ConfigDict(extra="forbid")

    dtype: str = Field(description="Of pandas.")
    values: list[Any] = Field(description='Null for not a number; "inf" and "-inf" as text.')


class ResultDocument(BaseModel):
    """What an instrument found of one classifier."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_: Literal[1] = Field(alias="schema", description="Version of an instrument's result.")
    instrument: str
    verdict: VerdictDocument
    table: dict[str, ColumnDocument] = Field(description="Tidy, column by column; one row a measurement.")
    settings: dict[str, Any] = Field(description="All that decided the numbers.")
    details: dict[str, Any] = Field(description="What else was measured.")
    versions: dict[str, str]


class ReadingDocument(BaseModel):
    """An instrument's number, and what became of planted maps with such numbers."""

    model_config = ConfigDict(extra="forbid")

    instrument: str
    measure: str = Field(description="What the number is.")
    subject: str = Field(description="The attribution.")
    value: float | None = Field(description="The number.")
    low: float | None = Field(description="Lower end of its 95 % interval; null where there is none.")
    high: float | None = Field(description="Its upper end.")
    good: float | None = Field(description="Share of the planted maps with such numbers that were good; null where unknown.")
    words: str = Field(description="The same in words, or why there is none.")
    weighs: bool = Field(description="Whether the answer rests on it.")
    label: str = Field("", description="What the answer would be by it alone; empty where nothing was calibrated.")


class AnswerDocument(BaseModel):
    """Whether a classifier's maps can be trusted."""

    model_config = ConfigDict(extra="forbid")

    label: str = Field(description="`trust`, `trust for <attribution>`, `do not trust` or `not settled`.")
    sentence: str = Field(description="The same in plain words, with the reasons that weigh most.")
    settle: str = Field(description="What would settle it; empty where it is settled.")
    readings: list[ReadingDocument] = Field(description="What it rests on and what else was measured, the weightiest first.")


class AuditDocument(BaseModel):
    """A whole audit, as `results.json` has it."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, title="gradaudit audit")

    schema_: Literal[1] = Field(alias="schema", description="Version of this format.")
    kind: Literal["audit"]
    answers: dict[str, AnswerDocument] = Field(
        default_factory=dict, description="By classifier: whether to trust its maps. Absent in audits from before there were any."
    )
    results: dict[str, dict[str, ResultDocument]] = Field(description="By classifier, then by instrument.")
    skipped: dict[str, dict[str, str]] = Field(description="By classifier: the instruments that were left out, and why.")
    scores: dict[str, ColumnDocument] = Field(description="One number or two of each instrument, to compare classifiers by.")
    rank_correlations: dict[str, ColumnDocument] = Field(description="Do the instruments agree across classifiers?")
    settings: dict[str, Any] = Field(description="Preset, images, seed, options of every instrument.")
    timings: dict[str, Any] = Field(description="Seconds; the only part that differs between two runs of the same audit.")


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of an audit's `results.json`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **AuditDocument.model_json_schema(by_alias=True)}


def file_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of an audit's TOML file: what is audited, on what, and the options of every instrument."""
    count = {"type": "integer", "minimum": 1}
    one = {"anyOf": [{"type": "string"}, {"type": "object"}]}
    named = {"type": "object", "additionalProperties": one}
    properties: dict[str, Any] = {
        "classifiers": named | {"description": "What is audited, by name.", "minProperties": 1},
        "data": {"type": "string", "description": "A data set's name, a folder or an .npz file."},
        "data_dir": {"type": "string", "description": "Where the data sets' files lie."},
        "on_error": {"enum": ["raise", "skip"], "description": "What becomes of image files that can't be taken."},
        "classes": {"type": "array", "items": {"type": "string"}, "description": "The classes in the order of the outputs."},
        "preset": {"enum": [*preset_names()], "description": "How many images, seeds, levels, steps."},
        "seed": {"type": "integer", "minimum": 0, "description": "Every random draw comes from it."},
        "denoiser": {"type": "string", "description": "A denoiser of such images."},
        "robust": one | {"description": "A robust classifier that helps to make counterfactuals."},
        "oracles": named | {"description": "Classifiers that are asked what counterfactuals show."},
        "on_blocks": named | {"description": "Classifiers trained alike on blocks of such images, of which leakage is measured."},
        "train_images": count | {"description": "Training images used, drawn stratified; all unless given."},
        "test_images": count | {"description": "Test images used, likewise."},
    }
    for name in audited():
        model = about(name).audited
        assert model is not None
        section = option_schema(model, about(name).settable) | {"description": about(name).question}
        properties[name] = {"anyOf": [section, {"const": False}]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "gradaudit audit file",
        "type": "object",
        "properties": properties,
        "required": ["classifiers", "data"],
        "additionalProperties": False,
    }


def check_document(data: Any) -> None:
    """Raise `InputError` unless `data` follows the schema."""
    try:
        AuditDocument.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise InputError(where, str(first.get("input"))[:200], f"as in the schema, version {SCHEMA} ({first['msg']})") from None
