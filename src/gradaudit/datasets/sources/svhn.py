"""SVHN, cropped digits: Netzer et al. (2011), "Reading digits in natural images with unsupervised feature learning"."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gradaudit.datasets.damage import image_set, reading
from gradaudit.datasets.locate import locate
from gradaudit.errors import require
from gradaudit.images import ImageSet


def svhn(*, folder: Path | None = None) -> tuple[ImageSet, ImageSet]:
    """SVHN: 73,257 + 26,032 house-number digits, 3x32x32, from `train_32x32.mat` and `test_32x32.mat`.

    Args:
        folder: has them in `svhn/`, `SVHN/` or directly.

    Raises:
        InputError: a file is absent or damaged; names it.
    """
    return _half(folder, "train_32x32.mat"), _half(folder, "test_32x32.mat")


def _half(folder: Path | None, name: str) -> ImageSet:
    from scipy.io import loadmat

    file = locate(folder, ("svhn", "SVHN", "."), (name,), "SVHN")
    with reading(file, "a MATLAB 5 file, as SVHN's are"):
        arrays = loadmat(file, variable_names=("X", "y"))
    require({"X", "y"} <= arrays.keys(), "file", str(file), "one with the arrays X and y")
    images, labels = arrays["X"], arrays["y"]
    require(images.ndim == 4, "X", images, f"(H, W, C, N) in {file}")
    expected = f"integers (N, 1) from 1 to 10, a label for each image, in {file}"
    sound = labels.shape == (images.shape[3], 1) and labels.dtype.kind in "ui" and np.isin(labels, np.arange(1, 11)).all()
    require(bool(sound), "y", labels, expected)
    labels = labels[:, 0].astype(np.int64) % 10  # the digit 0 has label 10
    return image_set(file, np.ascontiguousarray(images.transpose(3, 2, 0, 1)), labels, tuple("0123456789"))
