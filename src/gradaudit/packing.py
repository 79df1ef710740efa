"""Arrays as compact text that gives them back exactly, for the store and for details."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np


def pack(array: np.ndarray) -> dict[str, Any]:
    """The array as plain JSON values."""
    data = zlib.compress(np.ascontiguousarray(array).tobytes())
    return {"dtype": array.dtype.str, "shape": list(array.shape), "data": base64.b64encode(data).decode()}


def unpack(packed: Mapping[str, Any]) -> np.ndarray:
    """The array that `pack` made text of."""
    data = zlib.decompress(base64.b64decode(packed["data"]))
    return np.frombuffer(data, dtype=packed["dtype"]).reshape(packed["shape"]).copy()
