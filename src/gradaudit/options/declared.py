"""`Options`: a dataclass whose fields say what they take, and what is made of it."""

from __future__ import annotations

import functools
import inspect
import re
import textwrap
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import Field, dataclass, field, fields
from typing import Any, TypeVar

from gradaudit.options.forms import Form

R = TypeVar("R")
WIDTH = 128  # letters in a line of a docstring
MARK = "{options}"


@dataclass(frozen=True)
class Option:
    """What is declared of an option.

    Args:
        form: what values it takes; None as well where its default is None.
        help: what it is for, in one or two sentences without a full stop at the end.
        shown: the default in words, where the value would not tell; the value itself where empty.
        python_only: whether neither the command line nor an audit has it.
        of_run: whether it says how a run is done rather than what is measured.
    """

    form: Form
    help: str
    shown: str = ""
    python_only: bool = False
    of_run: bool = False

    def taken(self, argument: str, value: Any, default: Any) -> Any:
        """The value as the instrument works with it; errors as the form's."""
        return value if value is None and default is None else self.form.take(argument, value)


def option(default: Any, form: Form, help: str, *, shown: str = "", python_only: bool = False, of_run: bool = False) -> Any:
    """A field of `Options`; see `Option`."""
    return field(default=default, metadata={"option": Option(form, help, shown, python_only, of_run)})


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of an instrument; what is given is checked when the record is made."""

    def __post_init__(self) -> None:
        for one in fields(self):
            declared_as: Option = one.metadata["option"]
            object.__setattr__(self, one.name, declared_as.taken(one.name, getattr(self, one.name), one.default))

    def during(self) -> AbstractContextManager[None]:
        """What holds while the instrument works with them."""
        return nullcontext()

    def given_to(self, model: type[Options]) -> dict[str, Any]:
        """The values of those options that another model has as well."""
        return {name: getattr(self, name) for name in declared(model) if hasattr(self, name)}


def declared(model: type[Options]) -> dict[str, Option]:
    """The options of a model by name, those that say how a run is done last."""
    return {one.name: one.metadata["option"] for one in _in_order(model)}


def _in_order(model: type[Options]) -> list[Field[Any]]:
    """The fields, those that say how a run is done last."""
    return sorted(fields(model), key=lambda one: one.metadata["option"].of_run)


def defaults(model: type[Options]) -> dict[str, Any]:
    """Their defaults."""
    return {one.name: one.default for one in fields(model)}


def option_schema(model: type[Options], names: frozenset[str]) -> dict[str, Any]:
    """The JSON Schema of a table of these options."""
    every = declared(model)
    properties = {}
    for name, default in defaults(model).items():
        if name in names:
            known = {} if default is None else {"default": [*default] if isinstance(default, tuple) else default}
            properties[name] = every[name].form.schema() | {"description": every[name].help} | known
    return {"type": "object", "properties": properties, "additionalProperties": False}


def takes(model: type[Options], *placed: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Give a function whose last argument is a model's record the options of the model as keyword arguments.

    Its signature and the place marked `{options}` in its docstring show them, for editors and `help`. Those of `placed` may also
    follow the function's own arguments without their name.
    """

    def dress(function: Callable[..., R]) -> Callable[..., R]:
        own = [one for one in inspect.signature(function).parameters.values() if one.name != "options"]
        by_name = {one.name: _parameter(one, one.name in placed) for one in _in_order(model)}
        added = [*(by_name.pop(name) for name in placed), *by_name.values()]
        signature = inspect.Signature([*own, *added], return_annotation=inspect.signature(function).return_annotation)

        @functools.wraps(function)
        def call(*arguments: Any, **words: Any) -> R:
            given = signature.bind(*arguments, **words).arguments
            options = model(**{name: given.pop(name) for name in declared(model) if name in given})
            with options.during():
                return function(**given, options=options)

        call.__signature__ = signature  # type: ignore[attr-defined]
        call.__doc__ = documented(function.__doc__, model)
        return call

    return dress


def _parameter(one: Field[Any], placed: bool) -> inspect.Parameter:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD if placed else inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(one.name, kind, default=one.default, annotation=one.type)


def documented(text: str | None, model: type[Options]) -> str | None:
    """The docstring with what is declared of each option at its mark."""
    if text is None:  # python -OO
        return None
    found = re.search(rf"^( *){re.escape(MARK)}", text, re.MULTILINE)
    if found is None:
        return text
    indent = found[1]  # which newer Pythons take off docstrings
    lines = (f"{name}: {_sentence(one)}" for name, one in declared(model).items())
    wrapped = (textwrap.fill(line, WIDTH, initial_indent=indent, subsequent_indent=indent + " " * 4) for line in lines)
    return text.replace(indent + MARK, "\n".join(wrapped))


def _sentence(one: Option) -> str:
    return f"{one.help}; {one.shown} unless given." if one.shown else f"{one.help}."
