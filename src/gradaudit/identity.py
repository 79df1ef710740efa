"""What tells one user's function from another: its name, its source and the values that it carries."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import numpy as np
from torch import Tensor, nn


def identity(function: Any) -> list[Any]:
    """Strings, tensors and arrays that differ where two functions differ, and are the same in every process.

    Names, sources, defaults, bound arguments and closures count. Of a captured object that is neither a plain value, a
    tensor, a module nor a function only the class counts.
    """
    if isinstance(function, functools.partial):
        return ["partial", *identity(function.func), *_value(function.args), *_value(function.keywords)]
    if inspect.ismethod(function):
        return [*identity(function.__func__), *_carried(function.__self__)]
    if not inspect.isfunction(function):
        return _carried(function)
    try:
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
    except ValueError:  # a cell that is not yet filled
        cells = []
    carried = [function.__defaults__, function.__kwdefaults__, *cells]
    return [function.__module__, function.__qualname__, _source(function), *(part for value in carried for part in _value(value))]


def _source(function: Any) -> str:
    code = getattr(function, "__code__", None)
    try:
        # A function that was made by `exec` has no source of its own: Python 3.13 takes the program after `-c` for it.
        if code is None or code.co_filename != "<string>":
            return inspect.getsource(function)
    except (OSError, TypeError):  # typed at a prompt, or compiled
        pass
    return "" if code is None else f"{code.co_code.hex()} {code.co_names} {_constants(code)}"


def _constants(code: Any) -> list[str]:
    return [repr(value) if not inspect.iscode(value) else f"{value.co_code.hex()} {_constants(value)}" for value in code.co_consts]


def _carried(owner: Any) -> list[Any]:
    name = f"{type(owner).__module__}.{type(owner).__qualname__}"
    return [name, _source(type(owner)), *_value(vars(owner) if hasattr(owner, "__dict__") else None)]


def _value(value: Any) -> list[Any]:
    if isinstance(value, (Tensor, np.ndarray)):
        return [value]
    if isinstance(value, nn.Module):
        return [type(value).__qualname__, *_value(dict(value.state_dict()))]
    if value is None or isinstance(value, (str, int, float, complex, bytes, np.generic)):
        return [repr(value)]
    if isinstance(value, dict):
        return ["dict", *(part for key in sorted(value, key=str) for part in (str(key), *_value(value[key])))]
    if isinstance(value, (tuple, list)):
        return [type(value).__name__, str(len(value)), *(part for item in value for part in _value(item))]
    if inspect.isroutine(value) or isinstance(value, functools.partial):
        return identity(value) if not inspect.isbuiltin(value) else [repr(value.__name__)]
    return [f"{type(value).__module__}.{type(value).__qualname__}"]
