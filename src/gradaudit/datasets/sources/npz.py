"""A data set in one `.npz` file."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gradaudit.datasets.arrays import Layout, as_images, as_labels
from gradaudit.datasets.damage import image_set, reading
from gradaudit.errors import require
from gradaudit.images import ImageSet

_NAMES = (
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("x_train", "y_train", "x_test", "y_test"),  # Keras'
    ("X_train", "y_train", "X_test", "y_test"),
    ("train_x", "train_y", "test_x", "test_y"),
)
_OPTIONAL = ("classes", "layout", "train_signal_mask", "test_signal_mask")


def npz(
    *, path: str | os.PathLike[str], layout: Layout | None = None, classes: Sequence[str] | None = None
) -> tuple[ImageSet, ImageSet]:
    """An `.npz` file with train_images, train_labels, test_images, test_labels (or Keras' x_train, ...).

    Args:
        path: the file. Images are uint8, other integers from 0 to 255, or floats in [0, 1] (rounded to 256 levels, with a warning
            where that changes them), as (N, H, W), (N, H, W, C) or (N, C, H, W). Labels are whole numbers, a 1 among zeros, or
            text. Optional arrays: `classes`, `layout`, `train_signal_mask`, `test_signal_mask`. Nothing is unpickled.
        layout: `"NCHW"` or `"NHWC"`, where the shape leaves it open.
        classes: names, where the file has none; by default the labels' numbers.

    Raises:
        InputError: no such file, a damaged file, an absent or unsuitable array; names the file.
    """
    require(layout in (None, "NCHW", "NHWC"), "layout", layout, '"NCHW" or "NHWC"')
    file = Path(path).expanduser()
    require(file.is_file(), "path", str(path), "an .npz file that exists")
    arrays = _read(file)
    names = next((names for names in _NAMES if names[0] in arrays), _NAMES[0])
    absent = [name for name in names if name not in arrays]
    require(not absent, "file", str(file), f"one with {', '.join(absent)}; its arrays are: {', '.join(arrays) or 'none'}")
    kept = str(arrays["layout"]) if "layout" in arrays else None
    require(kept in (None, "NCHW", "NHWC"), "layout", kept, f'"NCHW" or "NHWC" in {file}')
    layout = layout or kept  # type: ignore[assignment]
    labels = [as_labels(arrays[name]) for name in (names[1], names[3])]
    if all(part.dtype.kind in "US" for part in labels):
        told = np.unique(np.concatenate(labels))  # the classes' names themselves
        labels, classes = [np.searchsorted(told, part) for part in labels], [str(name) for name in told.astype(np.str_)]
    words = _classes(file, arrays, classes, labels)

    def half(image_name: str, label: np.ndarray, mask_name: str) -> ImageSet:
        images = as_images(file, image_name, arrays.pop(image_name), layout)
        return image_set(file, images, label, words, arrays.get(mask_name))

    return half(names[0], labels[0], "train_signal_mask"), half(names[2], labels[1], "test_signal_mask")


def _read(file: Path) -> dict[str, np.ndarray]:
    wanted = {*(name for names in _NAMES for name in names), *_OPTIONAL}
    with reading(file, "an intact .npz file of plain arrays, without pickled objects"):
        require(zipfile.is_zipfile(file), "file", str(file), "an intact .npz file, which is a zip archive")
        with np.load(file, allow_pickle=False) as archive:
            # Names beside these are read no further, but listed where one is missing.
            return {name: archive[name] if name in wanted else np.empty(0) for name in archive.files}


def _classes(
    file: Path, arrays: Mapping[str, np.ndarray], given: Sequence[str] | None, labels: Sequence[np.ndarray]
) -> tuple[str, ...]:
    if "classes" in arrays:
        return tuple(str(name) for name in np.atleast_1d(arrays["classes"]))
    if given is not None:
        return tuple(given)
    whole = [part for part in labels if part.size and part.dtype.kind in "ui"]
    if whole and min(int(part.min()) for part in whole) > 0:
        warnings.warn(f"no image in {file} has the label 0: a classifier's first output would stand for none of them", stacklevel=2)
    numbers = [int(part.max()) for part in whole]
    return tuple(str(number) for number in range(max(numbers, default=0) + 1))
