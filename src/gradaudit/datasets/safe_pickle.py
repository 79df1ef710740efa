"""Pickles of CIFAR's python batches, read without running what may hide in them."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy._core.multiarray import _reconstruct

from gradaudit.datasets.damage import reading
from gradaudit.errors import InputError, require


def unpickle_batch(file: Path, data: bytes) -> dict[bytes, Any]:
    """The dictionary in a pickle that holds nothing but uint8 arrays, lists, numbers and byte strings.

    Args:
        file: where the bytes come from, for the errors.
        data: the pickle, as Python 2 and NumPy 1 wrote it.

    Raises:
        InputError: the pickle asks for any other global, which is refused before anything of it is run, or it is damaged.
    """
    with reading(file, "an intact pickle"):
        batch = _Unpickler(file, data).load()
    require(isinstance(batch, dict), "file", str(file), f"a pickled dictionary, not a {type(batch).__name__}")
    return dict(batch)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Path, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="bytes")
        self.file = file

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ADMITTED:
            return _ADMITTED[module, name]
        expected = f"a pickle of arrays, lists and text alone; it asks for the global {module}.{name}, so it was not run"
        raise InputError("file", str(self.file), expected)


def _uint8(name: bytes | str, *flags: Any) -> np.dtype[Any]:
    if name not in (b"u1", "u1"):
        raise ValueError(f"an array of dtype {name!r}")
    return np.dtype(np.uint8, copy=True)  # a copy, since the pickle goes on to set its state


_ADMITTED: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _uint8,
}
