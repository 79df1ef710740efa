"""The errors that a user meets: each names the argument, its value and what was expected."""

from __future__ import annotations

import copyreg
from collections.abc import Iterable
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from pydantic import ValidationError


class InputError(ValueError):
    """A bad argument.

    Args:
        argument: the name of the argument, as the user wrote it.
        value: what it was.
        expected: what it must be; completes the sentence "`argument` (=value) must be ...".
    """

    def __init__(self, argument: str, value: Any, expected: str) -> None:
        super().__init__(f"`{argument}` (={_short(value)}) must be {expected}")
        self.argument = argument

    def within(self, name: str) -> InputError:
        """The same of an argument that is a part of another."""
        found = InputError.__new__(InputError, str(self).replace(f"`{self.argument}`", f"`{name}.{self.argument}`", 1))
        found.argument = f"{name}.{self.argument}"
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return _as_it_was(self)


class MissingExtraError(ImportError):
    """An optional package is not installed; the message says which extra installs it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package `{package}`: pip install 'gradaudit[{extra}]'")

    def __reduce__(self) -> tuple[Any, ...]:
        return _as_it_was(self)


class CompletenessWarning(UserWarning):
    """The scores of an attribution do not add up to what its method promises."""


class TrainingError(RuntimeError):
    """A training that can't go on, such as one whose loss is no longer finite."""


class WorkerError(TrainingError):
    """The workers were killed again and again at the same work; what was finished before is kept."""


class StoreError(OSError):
    """The store of finished work can't be read or written."""


def require(condition: bool, argument: str, value: Any, expected: str) -> None:
    """Raise `InputError` unless `condition` holds."""
    if not condition:
        raise InputError(argument, value, expected)


def require_whole(argument: str, value: Any, least: int = 0, most: int | None = None) -> None:
    """Raise `InputError` unless it is a whole number from `least` to `most`."""
    reach = f", {least} or more" if most is None else f" from {least} to {most}"
    require(is_whole(value) and value >= least and (most is None or value <= most), argument, value, f"a whole number{reach}")


def is_whole(value: Any) -> TypeGuard[int]:
    """Whether it is a whole number, and no truth value."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def invalid(error: ValidationError, what: str, fields: Iterable[str]) -> InputError:
    """The `InputError` for the first thing that pydantic found wrong.

    Args:
        error: pydantic's.
        what: was to be made, such as `"a recipe"`.
        fields: that it has.
    """
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return cause
    name = ".".join(str(part) for part in first["loc"]) or what
    if first["type"] == "extra_forbidden":
        return InputError(name, first["input"], f"left out: {what} has only {', '.join(fields)}")
    return InputError(name, first["input"], first["msg"].removeprefix("Input should be "))


def first_line(error: BaseException) -> str:
    """What the error says, on one line; its type where it says nothing."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _as_it_was(error: Exception) -> tuple[Any, ...]:
    # An error comes back from a worker by its message; pickle would call __init__ with that as the only argument.
    return copyreg.__newobj__, (type(error), *error.args), error.__dict__  # type: ignore[attr-defined]


def _short(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if shape is not None and len(shape) and hasattr(value, "dtype"):
        return f"{type(value).__name__} of shape {tuple(shape)}, {value.dtype}"
    text = " ".join(repr(value).split())  # arrays in lists print on many lines
    return text if len(text) <= 200 else f"{text[:98]}...{text[-98:]}"  # the end of a path says more than its middle
