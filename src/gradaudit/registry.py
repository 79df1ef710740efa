"""Things found by name: every registered thing is one function in a file of the same name.

A **spec** names a function and its options: `"mlp"`, `"mlp(width=256)"`, `{"name": "mlp", "width": 256}` or
`"package.module:function"` for a user's own. Networks, objectives, attributions and data sets are all named this way. A function of
a script or a notebook's cell is `"__main__:function"`; it can be given itself as well.
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib
import inspect
import keyword
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradaudit.errors import InputError, require

_MAIN = "__main__:"
_CARRIED: dict[str, Any] = {}  # functions of another process's script or notebook, by their paths
_WORDS = {"true": True, "false": False}  # as a command line writes them


@dataclass(frozen=True)
class Spec:
    """A name with its options; `str(spec)` is canonical and parses back to the same spec."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    positional: tuple[Any, ...] = ()

    def __str__(self) -> str:
        words = [_literal(value) for value in self.positional]
        words += [f"{key}={_literal(value)}" for key, value in sorted(self.options.items())]
        return f"{self.name}({', '.join(words)})" if words else self.name


def parse_spec(argument: str, spec: str | Mapping[str, Any] | Spec | Callable[..., Any]) -> Spec:
    """Read a spec from its text, its mapping, itself, or the function that is meant.

    In text, a value is a Python literal, a bare word (taken as text), or `true` or `false`.

    Args:
        argument: the name of the user's argument, for errors.
        spec: as in `"mlp(width=256)"` or `{"name": "mlp", "width": 256}`; or a function that can be imported, or is of the running
            script or notebook, perhaps with options bound by `functools.partial`.

    Raises:
        InputError: it is none of these; names `argument`.
    """
    if isinstance(spec, Spec):
        return spec
    if callable(spec):
        return _spec_of(argument, spec)
    if isinstance(spec, Mapping):
        if not isinstance(spec.get("name"), str):
            raise InputError(argument, dict(spec), 'a mapping with a "name"')
        return Spec(spec["name"], {key: value for key, value in spec.items() if key != "name"})
    if not isinstance(spec, str) or not spec.strip():
        raise InputError(argument, spec, 'a name such as "mlp", "mlp(width=256)" or "package.module:function"')
    name, bracket, rest = spec.strip().partition("(")
    if not bracket:
        return Spec(name)
    try:
        call = ast.parse(f"f({rest}", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError
        options = {word.arg: _value(word.value) for word in call.keywords if word.arg is not None}
        if len(options) < len(call.keywords):  # a name given twice, or `**`
            raise ValueError
        return Spec(name.strip(), options, tuple(_value(node) for node in call.args))
    except (SyntaxError, TypeError, ValueError) as error:
        raise InputError(argument, spec, 'written like "name(option=value, ...)"') from error


class Registry:
    """The functions of one package, each in the module of its name.

    Args:
        package: the package to look in, such as `gradaudit.classifiers.networks`.
        kind: the word for what is registered, used in errors.
        also: packages of higher rooms that are searched after it; they are imported when what is asked for is not in the first.
    """

    def __init__(self, package: str, kind: str, *, also: tuple[str, ...] = ()) -> None:
        self.package = package
        self.kind = kind
        self.also = also

    def names(self) -> tuple[str, ...]:
        """All names, in alphabetical order."""
        return tuple(sorted({name for package in (self.package, *self.also) for name in _modules(package)}))

    def function(self, argument: str, name: str) -> Callable[..., Any]:
        """The function of that name, or a user's own given as `package.module:function`.

        Raises:
            InputError: there is none; lists the names that exist.
        """
        if ":" in name:
            own: Callable[..., Any] = imported(argument, name)
            require(callable(own), argument, name, "a function")
            return own
        module = name.replace("-", "_")
        for package in (self.package, *self.also):
            if module in _modules(package):
                found: Callable[..., Any] = getattr(importlib.import_module(f"{package}.{module}"), module)
                return found
        close = difflib.get_close_matches(module.lower(), self.names(), n=1)
        article = "an" if self.kind[0] in "aeiou" else "a"
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise InputError(argument, name, f"the name of {article} {self.kind}: {', '.join(self.names())}{hint}")

    def bind(self, argument: str, spec: str | Mapping[str, Any] | Spec, **defaults: Any) -> Callable[..., Any]:
        """The function with the spec's options bound; `defaults` go to those options that it has and the spec lacks.

        Raises:
            InputError: an unknown name, an option that the function does not have, or one given twice.
        """
        spec = parse_spec(argument, spec)
        function = self.function(argument, spec.name)
        allowed = options_of(function)
        options = {key: value for key, value in defaults.items() if key in allowed} | spec.options
        positional = dict(zip(allowed, spec.positional, strict=False))
        if len(spec.positional) > len(allowed):
            raise InputError(argument, str(spec), f"given at most {len(allowed)} options")
        twice = sorted(positional.keys() & spec.options.keys())
        require(not twice, argument, str(spec), f"given each option once; twice here: {', '.join(twice)}")
        unknown = [] if _takes_any(function) else [key for key in spec.options if key not in allowed]
        if unknown:
            listing = ", ".join(map(_written, allowed.items())) or "none"
            raise InputError(argument, str(spec), f"given options that {spec.name} has: {listing}")
        return functools.partial(function, **{**options, **positional})

    def summary(self, name: str) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.function("name", name)) or "").partition("\n")[0]


def check_complete(argument: str, spec: Spec, bound: Any) -> None:
    """Raise `InputError` unless a function that `Registry.bind` gave has a value for every option without a default."""
    needed = [key for key, default in options_of(bound.func).items() if default is inspect.Parameter.empty]
    missing = [key for key in needed if key not in bound.keywords]
    require(not missing, argument, str(spec), f"given the options that have no default: {', '.join(missing)}")


def _modules(package: str) -> list[str]:
    """The names of a package's public modules."""
    modules = pkgutil.iter_modules(importlib.import_module(package).__path__)
    return [module.name for module in modules if not module.name.startswith("_")]


def _spec_of(argument: str, function: Callable[..., Any]) -> Spec:
    if isinstance(function, functools.partial):
        inner = _spec_of(argument, function.func)
        return Spec(inner.name, {**inner.options, **function.keywords}, (*inner.positional, *function.args))
    path = f"{getattr(function, '__module__', None)}:{getattr(function, '__qualname__', None)}"
    try:
        found = imported(argument, path)
    except InputError:
        found = None
    expected = "a name, or a function or class that stands in a module or a notebook's cell, not within another function"
    require(found is function, argument, function, expected)
    return Spec(path)


def carried(specs: Iterable[Spec]) -> dict[str, Any]:
    """The functions of this process's script or notebook that the specs name, which another process can't import."""
    return {spec.name: imported("function", spec.name) for spec in specs if spec.name.startswith(_MAIN)}


def carry(functions: Mapping[str, Any]) -> None:
    """Let what another process found by `carried` be found in this one, whose own script or notebook comes first."""
    _CARRIED.update(functions)


def imported(argument: str, path: str) -> Any:
    """The object at `package.module:attribute`; the current folder is searched as well.

    Raises:
        InputError: there is no such module or attribute.
    """
    module, _, attribute = path.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        if path in _CARRIED:
            return _CARRIED[path]
        require(not module.endswith(".py"), argument, path, "written without .py, as package.module:function")
        raise InputError(argument, path, f"importable as package.module:function ({error})") from error


def options_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The keyword-only parameters of a function, with their defaults (`inspect.Parameter.empty` for none)."""
    return {word.name: word.default for word in _parameters(function) if word.kind is inspect.Parameter.KEYWORD_ONLY}


def _takes_any(function: Callable[..., Any]) -> bool:
    return any(word.kind is inspect.Parameter.VAR_KEYWORD for word in _parameters(function))


def _parameters(function: Callable[..., Any]) -> tuple[inspect.Parameter, ...]:
    try:
        return tuple(inspect.signature(function).parameters.values())
    except ValueError:  # a function written in C may have no signature
        return ()


def _written(option: tuple[str, Any]) -> str:
    name, default = option
    return name if default is inspect.Parameter.empty else f"{name}={default!r}"


def _value(node: ast.expr) -> Any:
    word = _word(node)
    return ast.literal_eval(node) if word is None else _WORDS.get(word, word)


def _word(node: ast.expr) -> str | None:
    """A bare word, which may have hyphens, as in fashion-mnist; None where it is none."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
        left, right = _word(node.left), _word(node.right)
        return f"{left}-{right}" if left and right else None
    return None


def _literal(value: Any) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    word = isinstance(value, str) and value.isascii() and value.isidentifier()
    bare = word and not keyword.iskeyword(value) and value not in _WORDS
    return str(value) if bare else repr(value)
