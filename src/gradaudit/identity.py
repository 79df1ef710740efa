"""What tells one user's function from another: its name, its code and the values that it carries."""

from __future__ import annotations

import dis
import functools
import inspect
import sys
import sysconfig
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

INSTALLED = {"site-packages", "dist-packages"}
LIBRARIES = (sysconfig.get_path("stdlib"), str(Path(__file__).parent))


def identity(function: Any) -> list[Any]:
    """Strings, tensors and arrays that differ where two functions or classes differ, and are the same in every process.

    Names, code, defaults, bound arguments and closures count; of a user's own, as against a library's, also the values of globals
    that they name, and all methods of a class. Of an object so met that is neither a plain value, a tensor, a module, a function
    nor a class only its class counts, and its `fingerprint` where it has one, as an image set does. The code is that which runs: a
    file that was edited since counts once it is imported anew.
    """
    return _Reading().function(function)


def of_a_user(thing: Any) -> bool:
    """Whether a function or class is a user's own: of a notebook, a prompt or a file of theirs, no library's and not ours."""
    return thing.__module__ == "__main__" or _users_module(sys.modules.get(thing.__module__))


def _users_module(module: Any) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and not file.startswith(LIBRARIES) and not INSTALLED & {*Path(file).parts}


class _Reading:
    """One reading of a function and of all that it leads to, each function and class of which is read once."""

    def __init__(self) -> None:
        self.begun: set[int] = set()
        self.within: list[int] = []  # what holds what is read, which may hold itself

    def function(self, function: Any) -> list[Any]:
        if isinstance(function, functools.partial):
            return ["partial", *self.function(function.func), *self.value(function.args), *self.value(function.keywords)]
        if inspect.ismethod(function):
            return [*self.function(function.__func__), *self.carried(function.__self__)]
        if inspect.isclass(function):
            return self.kind(function)
        if not inspect.isfunction(function):
            return self.carried(function)
        name = [function.__module__, function.__qualname__]
        if not self.begins(function):
            return name
        carried = [function.__defaults__, function.__kwdefaults__, *_cells(function), *_globals(function)]
        return [*name, _compiled(function.__code__), *(part for value in carried for part in self.value(value))]

    def kind(self, kind: type) -> list[Any]:
        name = f"{kind.__module__}.{kind.__qualname__}"
        if not self.begins(kind) or not of_a_user(kind):
            return [name]
        members = [(key, member) for base in kind.__mro__ if of_a_user(base) for key, member in sorted(_members(base))]
        return [name, *(part for key, member in members for part in (key, *self.value(member)))]

    def carried(self, owner: Any) -> list[Any]:
        return [*self.kind(type(owner)), *self.value(vars(owner) if hasattr(owner, "__dict__") else None)]

    def value(self, value: Any) -> list[Any]:
        if isinstance(value, Tensor) or (isinstance(value, np.ndarray) and not value.dtype.hasobject):
            return [value]
        if isinstance(value, nn.Module):
            kinds = sorted({type(one) for one in value.modules()}, key=lambda kind: f"{kind.__module__}.{kind.__qualname__}")
            return [*(part for kind in kinds for part in self.kind(kind)), *self.value(dict(value.state_dict()))]
        if value is None or isinstance(value, (str, int, float, complex, bytes, np.generic)):
            return [repr(value)]
        if isinstance(value, (dict, tuple, list)) and id(value) not in self.within:
            return self.several(value)
        if inspect.isfunction(value) or inspect.ismethod(value) or inspect.isclass(value) or isinstance(value, functools.partial):
            return self.function(value)
        if inspect.isroutine(value):
            return [repr(value.__name__)]
        if isinstance(marked := getattr(value, "fingerprint", None), str):
            return [f"{type(value).__module__}.{type(value).__qualname__}", marked]
        return [f"{type(value).__module__}.{type(value).__qualname__}"]

    def several(self, values: Any) -> list[Any]:
        self.within.append(id(values))
        if isinstance(values, dict):
            found = ["dict", *(part for key in sorted(values, key=str) for part in (str(key), *self.value(values[key])))]
        else:
            found = [type(values).__name__, str(len(values)), *(part for one in values for part in self.value(one))]
        self.within.pop()
        return found

    def begins(self, thing: Any) -> bool:
        """Whether it was not yet read."""
        known = id(thing) in self.begun
        self.begun.add(id(thing))
        return not known


def _cells(function: Any) -> list[Any]:
    try:
        return [cell.cell_contents for cell in function.__closure__ or ()]
    except ValueError:  # a cell that is not yet filled
        return []


def _globals(function: Any) -> list[Any]:
    """The globals that a user's own function names, with their values; of their modules what it names there."""
    found: dict[str, Any] = {}
    for name, within in sorted({*_named(function.__code__)}) if of_a_user(function) else ():
        value = function.__globals__.get(name, inspect)  # any module will do
        if not inspect.ismodule(value):
            found[name] = value
        elif _users_module(value):
            found[f"{name}.{within}"] = getattr(value, within, None)
    return [part for item in found.items() for part in item]


def _named(code: Any) -> Iterator[tuple[str, str]]:
    """The names of globals, each with that of the attribute of it that is asked for, or ""."""
    for one, following in pairwise([*dis.get_instructions(code)]):
        if one.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield one.argval, following.argval if following.opname in ("LOAD_ATTR", "LOAD_METHOD") else ""
    for inner in code.co_consts:
        if inspect.iscode(inner):
            yield from _named(inner)


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    """A class's own methods and values by name; what Python adds by itself is left out."""
    for name, member in vars(kind).items():
        if isinstance(member, property):
            yield from ((f"{name}.{part}", getattr(member, part)) for part in ("fget", "fset") if getattr(member, part))
        elif isinstance(member, (staticmethod, classmethod)):
            yield name, member.__func__
        elif isinstance(member, functools.cached_property):
            yield name, member.func
        elif inspect.isfunction(member) or not (name.startswith("__") or name == "_abc_impl"):
            yield name, member


def _compiled(code: Any) -> str:
    constants = [_compiled(one) if inspect.iscode(one) else _literal(one) for one in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {constants}"


def _literal(value: Any) -> str:
    return f"frozenset{sorted(map(repr, value))}" if isinstance(value, frozenset) else repr(value)
