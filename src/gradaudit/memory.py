"""How many bytes batches may take: by `memory=` or `--memory`, by `memory_limit`, by `$GRADAUDIT_MEMORY`, or 512 MiB on a CPU."""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from gradaudit.errors import InputError

MemoryLike: TypeAlias = int | str

USUAL = 512 * 2**20
VARIABLE = "GRADAUDIT_MEMORY"
LEAST = 2**20
UNITS = {"": 1, "b": 1} | {
    f"{letter}{kind}": base ** (place + 1) for place, letter in enumerate("kmgt") for kind, base in (("b", 1000), ("ib", 1024))
}
SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*")
EXPECTED = 'bytes, 1 MiB or more: a whole number, or text such as "512MB", "1.5 GB" or "2GiB"'

_limit: ContextVar[int | None] = ContextVar("memory", default=None)


def memory_bytes(argument: str, memory: Any) -> int:
    """The number of bytes that is meant; kB, MB, GB and TB are powers of 1000, KiB, MiB, GiB and TiB of 1024.

    Args:
        argument: for errors.
        memory: bytes, or text such as `"1.5 GB"`; upper and lower case alike.

    Raises:
        InputError: neither, or less than 1 MiB; names `argument`.
    """
    found = _read(memory) if isinstance(memory, str) else _whole(memory)
    if found is None or found < LEAST:
        raise InputError(argument, memory, EXPECTED)
    return found


def _whole(number: Any) -> int | None:
    try:
        return None if isinstance(number, bool) else operator.index(number)
    except TypeError:
        return None


def _read(text: str) -> int | None:
    read = SIZE.fullmatch(text.lower())
    unit = UNITS.get(read[2]) if read else None
    return int(float(read[1]) * unit) if read and unit else None


@contextmanager
def memory_limit(memory: MemoryLike | None) -> Iterator[None]:
    """Inside, batches take at most so many bytes; it changes no result beyond rounding.

    Meant is what a batch needs beside the interpreter, the libraries, the weights, the images and what is kept of each of them:
    activations and their gradients, copies of the batch. A batch is never less than one image, so one that takes more is not
    refused. How many images a training sees at a step is its recipe's, and not bounded.

    Args:
        memory: bytes, 1 MiB or more, or text such as `"512MB"`, `"1.5 GB"` or `"2GiB"`; None leaves the limit that holds: that of
            the block around it, else `$GRADAUDIT_MEMORY`, else 512 MiB on a CPU and a quarter of an accelerator's memory.

    Raises:
        InputError: not bytes, or less than 1 MiB.
    """
    mark = _limit.set(memory_budget() if memory is None else memory_bytes("memory", memory))
    try:
        yield
    finally:
        _limit.reset(mark)


def memory_budget() -> int | None:
    """The bytes that batches may take, where that was said; None where it was not.

    Raises:
        InputError: `$GRADAUDIT_MEMORY` is no number of bytes.
    """
    found = _limit.get()
    if found is None and (given := os.environ.get(VARIABLE)):
        return memory_bytes(VARIABLE, given)
    return found


def working_memory() -> int:
    """The bytes that batches may take on a CPU."""
    return memory_budget() or USUAL


def at_most(most: int, bytes_each: float) -> int:
    """How many pieces of so many bytes each fit at once on a CPU; from 1 to `most`."""
    return max(1, min(most, int(working_memory() / max(bytes_each, 1))))


@dataclass(frozen=True)
class Limited:
    """A function that calls in another process, or in this one later, under the limit that holds now.

    Args:
        function: importable there.
        memory: the limit; None where none was said.
    """

    function: Callable[..., Any]
    memory: int | None

    def __call__(self, *arguments: Any) -> Any:
        """What the function returns."""
        with memory_limit(self.memory):
            return self.function(*arguments)


def limited(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as it takes the present limit along to workers."""
    memory = memory_budget()
    return function if memory is None else Limited(function, memory)


def resident() -> int | None:
    """The bytes that this process holds in main memory now; None where the system does not say, as elsewhere than on Linux."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def spelled_bytes(count: float) -> str:
    """Bytes as people say them: `"640 MB"`, `"1.5 GB"`; unknown where not a number."""
    if count != count:
        return "unknown"
    for name, size in (("TB", 1e12), ("GB", 1e9)):
        if count >= size:
            return f"{count / size:.1f} {name}"
    return f"{count / 1e6:.0f} MB"
