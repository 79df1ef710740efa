"""Tables of the page: cells with the text that is read and the value that sorts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cell:
    """One cell.

    Args:
        text: what is read.
        order: what sorts, a number as text; empty where nothing was measured.
        kind: `"text"`, `"number"`, or `"missing"` for a word in a number's place.
        span: columns that it covers.
    """

    text: str
    order: str = ""
    kind: str = "text"
    span: int = 1


@dataclass(frozen=True)
class Table:
    """A table: the first cell of each row is the row's heading.

    Args:
        caption: what it holds.
        columns: headings.
        rows: cells, in the order of the columns.
        sortable: whether the page's script may sort it.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    sortable: bool = True


def number(value: float, *, digits: int = 3, signed: bool = False, missing: str = "not measured") -> Cell:
    """A cell with a number in a fixed number of digits, or with words where it is NaN."""
    if math.isnan(value):
        return Cell(missing, kind="missing")
    return Cell(_digits(value, digits, signed), repr(float(value)), "number")


def interval(value: float, low: float, high: float, *, signed: bool = False, missing: str = "not measured") -> Cell:
    """A cell with a number and its interval, where it has one, sorted by the number; words where the number is NaN."""
    if math.isnan(value):
        return Cell(missing, kind="missing")
    ends = "" if math.isnan(low) else f" [{_digits(low, 3, signed)}, {_digits(high, 3, signed)}]"
    return Cell(f"{_digits(value, 3, signed)}{ends}", repr(float(value)), "number")


def span(low: float, high: float, *, missing: str) -> Cell:
    """A cell with an interval of signed numbers, sorted by its lower end, or with words where it is NaN."""
    if math.isnan(low) or math.isnan(high):
        return Cell(missing, kind="missing")
    return Cell(f"[{_digits(low, 3, True)}, {_digits(high, 3, True)}]", repr(float(low)), "number")


def percent(share: float) -> str:
    """A share as people say it: `"5%"`, `"0.5%"`."""
    return f"{100 * share:.4g}%"


def level_cell(level: float) -> Cell:
    """A cell with a share of features."""
    return Cell(percent(level), repr(float(level)), "number")


def compared(caption: str, heading: str, columns: Mapping[str, Mapping[str, Any]], missing: str = "not given") -> Table:
    """A table with a row for each key and a column for each classifier; a value that all share stands once.

    Args:
        caption: what it holds.
        heading: of the first column.
        columns: for each classifier, its values by key; nested mappings become rows of their own.
        missing: words where a classifier lacks a key.
    """
    flat = {name: dict(_flat(values)) for name, values in columns.items()}
    keys = dict.fromkeys(key for values in flat.values() for key in values)
    rows = tuple(_compared_row(key, [values.get(key, missing) for values in flat.values()]) for key in keys)
    return Table(caption, (heading, *columns), rows, sortable=False)


def _digits(value: float, digits: int, signed: bool) -> str:
    value = round(value, digits) or 0.0  # no sign on what rounds to zero
    return f"{value:{'+' if signed and value else ''}.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _compared_row(key: str, values: list[str]) -> tuple[Cell, ...]:
    if len(set(values)) == 1:
        return Cell(key), Cell(values[0], span=len(values))
    return Cell(key), *(Cell(value) for value in values)


def _flat(values: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, str]]:
    for key, value in values.items():
        words = f"{before}{str(key).replace('_', ' ')}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{words}: ")
        else:
            yield words, _words(value)


def _words(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return ", ".join(_words(one) for one in value) or "none"
    return f"{value:,}" if type(value) is int and abs(value) < 10**9 else json.dumps(value, default=str)
