"""Forms: what values an option takes, as a Python value, as the text of a command line, and in JSON Schema."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from numbers import Real
from pathlib import Path
from typing import Any, ClassVar

from gradaudit.errors import InputError, is_whole, require
from gradaudit.memory import memory_bytes

Schema = dict[str, Any]


@dataclass(frozen=True)
class Form:
    """What values an option takes.

    `typed` is what the command line gives, and `repeated` whether it gives a list of those, one for each time the option is named.
    """

    typed: ClassVar[type] = str
    repeated: ClassVar[bool] = False

    def take(self, argument: str, value: Any) -> Any:
        """The value in the form that the instrument works with.

        Raises:
            InputError: it is none that the option takes; names `argument`.
        """
        return value

    def read(self, argument: str, given: Any) -> Any:
        """The value that a command line meant.

        Raises:
            InputError: it meant none; names `argument`.
        """
        return given

    def schema(self) -> Schema:
        """Its JSON Schema; empty where any JSON value may be right."""
        return {}


@dataclass(frozen=True)
class Anything(Form):
    """Whatever the instrument itself understands and checks, such as images, functions or tensors."""


@dataclass(frozen=True)
class Choice(Form):
    """One of some words."""

    choices: tuple[str, ...]

    def take(self, argument: str, value: Any) -> Any:
        """The word."""
        require(isinstance(value, str) and value in self.choices, argument, value, _quoted(self.choices))
        return value

    def schema(self) -> Schema:
        """An enumeration."""
        return {"enum": [*self.choices]}


@dataclass(frozen=True)
class Flag(Form):
    """Yes or no."""

    typed: ClassVar[type] = bool

    def take(self, argument: str, value: Any) -> Any:
        """The answer."""
        require(isinstance(value, bool), argument, value, "True or False")
        return value

    def schema(self) -> Schema:
        """A boolean."""
        return {"type": "boolean"}


@dataclass(frozen=True)
class Whole(Form):
    """A whole number, `least` or more."""

    least: int = 0

    typed: ClassVar[type] = int

    def take(self, argument: str, value: Any) -> Any:
        """The number."""
        require(is_whole(value) and self.least <= value < 2**31, argument, value, f"a whole number, {self.least} or more")
        return int(value)

    def schema(self) -> Schema:
        """An integer with its least value."""
        return {"type": "integer", "minimum": self.least}


@dataclass(frozen=True)
class WholeOr(Form):
    """A whole number of 1 or more, or one of some words; other words may mean something to a cluster."""

    words: tuple[str, ...] = ("auto",)

    def take(self, argument: str, value: Any) -> Any:
        """The number or the word."""
        expected = f"{_quoted(self.words)} or a whole number, 1 or more"
        require((isinstance(value, str) and value in self.words) or (is_whole(value) and value >= 1), argument, value, expected)
        return value

    def read(self, argument: str, given: Any) -> Any:
        """A number where the text is one."""
        try:
            return int(given)
        except ValueError:
            return given

    def schema(self) -> Schema:
        """Either."""
        return {"anyOf": [{"enum": [*self.words]}, {"type": "integer", "minimum": 1}]}


@dataclass(frozen=True)
class Wholes(Form):
    """How many, or which: a whole number, or several different ones. The instrument checks which make sense."""

    typed: ClassVar[type] = int

    def schema(self) -> Schema:
        """Either."""
        return {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "array", "items": {"type": "integer", "minimum": 0}}]}


@dataclass(frozen=True)
class Number(Form):
    """A finite number, above `above` or at least `least` where these are given."""

    above: float | None = None
    least: float | None = None

    typed: ClassVar[type] = float

    def take(self, argument: str, value: Any) -> Any:
        """The number, as a float."""
        expected = f"a finite number{_bounds(self.above, self.least, None)}"
        require(_is_number(value) and _within(float(value), self.above, self.least, None), argument, value, expected)
        return float(value)

    def schema(self) -> Schema:
        """A number with its bounds."""
        return {"type": "number"} | _limits(self.above, self.least, None)


@dataclass(frozen=True)
class Numbers(Form):
    """One or several different finite numbers within bounds, brought into ascending order or, if they must be so, refused."""

    above: float | None = None
    least: float | None = None
    below: float | None = None
    ascending: bool = False
    what: str = "numbers"

    def take(self, argument: str, value: Any) -> Any:
        """A tuple of floats, ascending."""
        order = ", in ascending order" if self.ascending else ""
        expected = f"one or several different finite {self.what}{_bounds(self.above, self.least, self.below)}{order}"
        listed = isinstance(value, Iterable) and not isinstance(value, (str, Mapping))
        found = [*value] if listed else [value]
        require(bool(found) and all(map(_is_number, found)), argument, value, expected)
        numbers = [float(one) for one in found]
        require(all(_within(one, self.above, self.least, self.below) for one in numbers), argument, value, expected)
        require(len(set(numbers)) == len(numbers), argument, value, expected)
        require(not self.ascending or all(low < high for low, high in pairwise(numbers)), argument, value, expected)
        return tuple(sorted(numbers))

    def read(self, argument: str, given: Any) -> Any:
        """The numbers in a list separated by commas, of which some may be fractions."""
        try:
            return tuple(float(Fraction(part.strip())) for part in given.split(","))
        except (ValueError, ZeroDivisionError, OverflowError):
            expected = "numbers or fractions separated by commas, such as 0.05,0.1,0.2 or 2/255,8/255"
            raise InputError(argument, given, expected) from None

    def schema(self) -> Schema:
        """A number or an array of such."""
        one = {"type": "number"} | _limits(self.above, self.least, self.below)
        return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}


@dataclass(frozen=True)
class Bytes(Form):
    """A number of bytes, as a whole number or as text such as `"1.5 GB"`."""

    def take(self, argument: str, value: Any) -> Any:
        """The number."""
        return memory_bytes(argument, value)

    def read(self, argument: str, given: Any) -> Any:
        """The number that the text means."""
        return memory_bytes(argument, given)

    def schema(self) -> Schema:
        """A whole number or a text."""
        return {"anyOf": [{"type": "integer", "minimum": 2**20}, {"type": "string"}]}


@dataclass(frozen=True)
class Spec(Form):
    """A name with options, as in `"mlp(width=256)"`, or what else the instrument understands: it knows the names."""

    def schema(self) -> Schema:
        """A text or a table."""
        return {"anyOf": [{"type": "string"}, {"type": "object"}]}


@dataclass(frozen=True)
class Specs(Spec):
    """One or several such; the command line names the option again for each."""

    repeated: ClassVar[bool] = True

    def schema(self) -> Schema:
        """A text, a table, or an array of those."""
        one = super().schema()["anyOf"]
        return {"anyOf": [*one, {"type": "array", "items": {"anyOf": one}}]}


@dataclass(frozen=True)
class SpecList(Form):
    """Several names with options; on the command line separated by commas, of which those inside brackets belong to a name."""

    def read(self, argument: str, given: Any) -> Any:
        """The parts."""
        found, depth = [""], 0
        for letter in given:
            depth += (letter in "([") - (letter in ")]")
            if letter == "," and depth == 0:
                found.append("")
            else:
                found[-1] += letter
        return [one.strip() for one in found]

    def schema(self) -> Schema:
        """An array of texts and tables, or one of them."""
        return Specs().schema()


@dataclass(frozen=True)
class Names(SpecList):
    """As `SpecList`, perhaps none, which the command line calls `none`."""

    def read(self, argument: str, given: Any) -> Any:
        """The parts; none for `none`."""
        return () if given == "none" else tuple(super().read(argument, given))


@dataclass(frozen=True)
class Choices(SpecList):
    """Some of some words, brought into their order."""

    choices: tuple[str, ...] = ()

    def take(self, argument: str, value: Any) -> Any:
        """A tuple of the words."""
        found = [value] if isinstance(value, str) else [*value] if isinstance(value, Iterable) else []
        known = bool(found) and all(one in self.choices for one in found)
        require(known, argument, value, f"some of {_quoted(self.choices, ', ')}")
        return tuple(one for one in self.choices if one in found)

    def schema(self) -> Schema:
        """An array of the words, or one of them."""
        one = {"enum": [*self.choices]}
        return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}


@dataclass(frozen=True)
class File(Form):
    """A file's path."""

    typed: ClassVar[type] = Path

    def schema(self) -> Schema:
        """A text."""
        return {"type": "string"}


@dataclass(frozen=True)
class Files(Form):
    """Two files' paths."""

    typed: ClassVar[Any] = tuple[Path, Path]


def _quoted(words: tuple[str, ...], between: str = " or ") -> str:
    return between.join(f'"{word}"' for word in words)


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)


def _within(value: float, above: float | None, least: float | None, below: float | None) -> bool:
    return (above is None or value > above) and (least is None or value >= least) and (below is None or value < below)


def _bounds(above: float | None, least: float | None, below: float | None) -> str:
    if above is not None and below is not None:
        return f" between {above:g} and {below:g}"
    parts = ([f"above {above:g}"] if above is not None else []) + ([f"{least:g} or more"] if least is not None else [])
    return f", {', '.join(parts)}" if parts else ""


def _limits(above: float | None, least: float | None, below: float | None) -> Schema:
    found = {"exclusiveMinimum": above, "minimum": least, "exclusiveMaximum": below}
    return {key: value for key, value in found.items() if value is not None}
