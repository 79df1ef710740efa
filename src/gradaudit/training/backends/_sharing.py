"""Arguments as bytes, without their large arrays: each of these is put where all workers find it, once."""

from __future__ import annotations

import io
import mmap
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import cloudpickle
import numpy as np

LEAST = 100_000  # bytes of an array that is shared


class Shared:
    """The large arrays of many calls.

    Args:
        put: keeps an array for all workers; returns what they get it by.
    """

    def __init__(self, put: Callable[[np.ndarray], Any]) -> None:
        self.put = put
        self.found: dict[tuple[Any, ...], tuple[np.ndarray, Any]] = {}

    def packed(self, arguments: Any) -> tuple[bytes, list[Any]]:
        """The arguments as bytes, functions of a script included, and by what the arrays among them are got, in order."""
        buffer, references = io.BytesIO(), []

        class Packer(cloudpickle.Pickler):  # type: ignore[misc]
            def persistent_id(self, value: Any) -> int | None:
                if not (isinstance(value, np.ndarray) and value.nbytes >= LEAST and not value.dtype.hasobject):
                    return None
                references.append(shared.reference(value))
                return len(references) - 1

        shared = self
        Packer(buffer).dump(arguments)
        return buffer.getvalue(), references

    def reference(self, array: np.ndarray) -> Any:
        """By what the array is got; it is put the first time."""
        key = _identity(array)
        if key not in self.found:
            # The array itself is kept too: else another could come to lie at its address.
            self.found[key] = array, self.put(np.asarray(array))
        return self.found[key][1]


def unpacked(packed: bytes, arrays: Sequence[np.ndarray]) -> Any:
    """The arguments, from what `Shared.packed` made of them and the arrays themselves."""

    class Unpacker(pickle.Unpickler):
        def persistent_load(self, place: Any) -> np.ndarray:
            return arrays[int(place)]

    return Unpacker(io.BytesIO(packed)).load()


def _identity(array: np.ndarray) -> tuple[Any, ...]:
    """The same for two arrays only if their values are; for a whole mapped file, also where it is mapped twice."""
    whole = isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap)
    place = (str(array.filename), array.offset) if whole else array.__array_interface__["data"]  # type: ignore[attr-defined]
    return (*place, array.shape, array.dtype.str, array.strides)
