"""`save_images`: a data set in one `.npz` file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from gradaudit.errors import require
from gradaudit.files import whole_file
from gradaudit.images import ImageSet


def save_images(path: str | os.PathLike[str], train: ImageSet, test: ImageSet) -> Path:
    """Write both sets to `path`, whole or not at all, so that `load_images(path)` gives them back exactly; the path.

    Args:
        path: ends in `.npz`.
        train, test: of the same image shape and the same classes.

    Raises:
        InputError: another suffix, or sets that differ in shape or classes.
        StoreError: the file can't be written.
    """
    path = Path(path)
    require(path.suffix == ".npz", "path", str(path), "a file name that ends in .npz")
    require(test.shape == train.shape, "test", test, f"images of shape {train.shape}, as in `train`")
    require(test.classes == train.classes, "test", test.classes, f"a set with the classes of `train`, {train.classes}")
    arrays = {"classes": np.array(train.classes, dtype=np.str_), "layout": np.array("NCHW")}
    for half, images in (("train", train), ("test", test)):
        arrays[f"{half}_images"] = images.images.cpu().numpy()
        arrays[f"{half}_labels"] = images.labels.cpu().numpy()
        if images.signal_mask is not None:
            arrays[f"{half}_signal_mask"] = images.signal_mask.cpu().numpy()
    with whole_file(path) as file:
        np.savez(file, allow_pickle=False, **arrays)
    return path
