"""Arrays as other people store them -> uint8 (N, C, H, W) and integer labels (N,)."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Literal, cast

import numpy as np

from gradaudit.errors import InputError, require
from gradaudit.images import AT_ONCE

Layout = Literal["NCHW", "NHWC"]


def as_images(file: Path, name: str, array: np.ndarray, layout: Layout | None) -> np.ndarray:
    """The images as uint8 (N, C, H, W).

    Args:
        file, name: where the array comes from, for the errors.
        array: uint8, other integers up to 255, or floats in [0, 1]; (N, H, W), (N, H, W, C) or (N, C, H, W) with C of 1 or 3.
        layout: which of the latter two it is; `None` to tell by the shape.

    Raises:
        InputError: another dtype, range or shape, or a shape that both layouts explain.
    """
    if array.ndim == 3:
        array = array[:, None]
    elif (layout or _layout(file, name, array)) == "NHWC":
        array = array.transpose(0, 3, 1, 2)
    require(array.ndim == 4, name, array, f"(N, H, W), (N, H, W, C) or (N, C, H, W) in {file}")
    if array.dtype.kind in "ui" and array.dtype != np.uint8 and array.size and array.min() >= 0 and 1 < array.max() <= 255:
        array = array.astype(np.uint8)
    return np.ascontiguousarray(array) if array.dtype == np.uint8 else _from_floats(file, name, array)


def as_labels(array: np.ndarray) -> np.ndarray:
    """The labels as (N,), whole numbers as int64; some are stored as (N, 1), or as a 1 among zeros in (N, K)."""
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if array.ndim == 2 and array.dtype.kind in "uifb" and bool((np.sort(array, axis=1) == np.eye(array.shape[1])[-1]).all()):
        places: np.ndarray = array.argmax(axis=1)
        return places
    whole = array.dtype.kind in "ui" or (array.dtype.kind == "f" and bool((array == np.rint(array)).all()))
    return array.astype(np.int64) if whole else array


def _layout(file: Path, name: str, array: np.ndarray) -> Layout:
    found = [layout for layout, axis in (("NCHW", 1), ("NHWC", 3)) if array.ndim == 4 and array.shape[axis] in (1, 3)]
    require(len(found) > 0, name, array, f"(N, H, W), (N, H, W, C) or (N, C, H, W) with C of 1 or 3, in {file}")
    if len(found) == 2:
        expected = f'unambiguous: both (N, C, H, W) and (N, H, W, C) fit; say layout="NCHW" or layout="NHWC" for {file}'
        raise InputError(name, array, expected)
    return cast(Layout, found[0])


def _from_floats(file: Path, name: str, array: np.ndarray) -> np.ndarray:
    expected = f"uint8, integers from 0 to 255, or floats in [0, 1], in {file}"
    require(array.dtype.kind == "f", name, array, expected)
    pixels = np.empty(array.shape, np.uint8)
    rounded = False
    step = max(1, AT_ONCE // max(1, math.prod(array.shape[1:])))
    for start in range(0, len(array), step):
        # In float64, a multiple of 1/255 that was stored as float32 or float64 comes back to within 1e-4; float16 does not.
        values = array[start : start + step].astype(np.float64) * 255
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 255):
            raise InputError(name, array, f"{expected}; some value is not")
        levels = np.rint(values)
        rounded = rounded or bool(np.abs(values - levels).max() > 1e-3)
        pixels[start : start + step] = levels
    if rounded:
        warnings.warn(f"{name} in {file}: not multiples of 1/255, so rounded to the nearest of 256 levels", stacklevel=2)
    return pixels
