"""Checkpoints that hold more than tensors, read without running what the rest was made of.

PyTorch's own restricted unpickler does the reading. It makes no object but tensors and those of classes that it was given; it is
given a class of ours for every name that it does not know, which takes all arguments and states and does nothing with them.
"""

from __future__ import annotations

import builtins
import os
import pickle
import re
from typing import Any

import torch
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

# Nothing that describes a training is made by these: a file that names one is refused rather than read.
DANGEROUS = {
    *("builtins", "code", "ctypes", "commands", "importlib", "io", "multiprocessing", "nt", "os", "pickle", "posix", "pty"),
    *("posixsubprocess", "runpy", "shutil", "socket", "subprocess", "sys", "webbrowser", "winapi"),
}
PLAIN = {f"builtins.{name}" for name in ("set", "frozenset", "bytearray", "complex", "slice", "range", "object", "type")}
PLAIN |= {f"builtins.{name}" for name in ("bool", "bytes", "dict", "float", "int", "list", "str", "tuple")}
MOST = 1000  # names in one file


class StandIn:
    """What takes the place of an object: it was made of nothing, and does nothing."""

    def __new__(cls, *arguments: Any, **options: Any) -> Any:
        """Itself, whatever the arguments."""
        return object.__new__(cls)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        """Refuse, in the words of newer versions of torch, which ask before they set an item."""
        raise pickle.UnpicklingError(f"Can only SETITEM for a dictionary, but got {type(self)}")


class _Items(StandIn):
    """In the place of a mapping: a plain dictionary, which then gets the items."""

    def __new__(cls, *arguments: Any, **options: Any) -> Any:
        """An empty dictionary."""
        return {}


class _List(StandIn):
    """In the place of a sequence: a plain list, which then gets the members."""

    def __new__(cls, *arguments: Any, **options: Any) -> Any:
        """An empty list."""
        return []


KNOWN: dict[str, type[StandIn]] = {"collections.defaultdict": _Items, "collections.deque": _List}


def read_with_stand_ins(path: str | os.PathLike[str], refusal: pickle.UnpicklingError) -> Any:
    """The content of a file that PyTorch's restricted unpickler refused, with stand-ins for what it does not know.

    Args:
        path: what `torch.save` wrote.
        refusal: its error.

    Raises:
        UnpicklingError: the file names what only code needs, or is a pickle of which not even stand-ins can be made.
    """
    kinds = dict.fromkeys(_unknown(path), StandIn)
    for _ in range(MOST):
        if found := _named(str(refusal)):
            kinds |= found
        if any(_is_dangerous(name) for name in kinds):
            raise refusal
        try:
            with safe_globals([_stand_in(name, KNOWN.get(name, kind)) for name, kind in kinds.items()]):
                return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            if not (_named(str(error)).items() - kinds.items()):
                raise
            refusal = error
    raise refusal


def _unknown(path: str | os.PathLike[str]) -> list[str]:
    try:
        return get_unsafe_globals_in_checkpoint(path)
    except (pickle.UnpicklingError, ValueError, RuntimeError, EOFError):  # of an older format, whose names come one by one
        return []


def _named(refusal: str) -> dict[str, type[StandIn]]:
    """The name that the unpickler did not know, or whose stand-in it could not fill, and the kind of stand-in that it needs."""
    if found := re.search(r"Unsupported global: GLOBAL (\S+)", refusal):
        name = found[1]
        return {name if "." in name or not hasattr(builtins, name) else f"builtins.{name}": StandIn}
    if found := re.search(r"Can only (SETITEMS?|append|extend) .* got <class '([^']+)'>", refusal):
        return {found[2]: _Items if found[1].startswith("SET") else _List}
    return {}


def _is_dangerous(name: str) -> bool:
    module = name.partition(".")[0].removeprefix("_")  # newer Pythons write `_io.open`
    return module in DANGEROUS and name not in PLAIN


def _stand_in(path: str, kind: type[StandIn]) -> type[StandIn]:
    module, _, name = path.rpartition(".")
    return type(name, (kind,), {"__module__": module, "__qualname__": name})
