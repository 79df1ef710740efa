"""SVHN from MATLAB files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from gradaudit.datasets import load_images
from gradaudit.errors import InputError

PIXELS = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 5), np.uint8)
LABELS = np.array([[1], [10], [9], [2], [10]], np.uint8)


def write(folder: Path, **arrays: Any) -> None:
    folder.mkdir(exist_ok=True)
    for name in ("train_32x32.mat", "test_32x32.mat"):
        savemat(folder / name, {"X": PIXELS, "y": LABELS} | arrays)


@pytest.mark.parametrize("place", ["svhn", "SVHN", "."])
def test_axes_and_labels(tmp_path: Path, place: str) -> None:
    write(tmp_path / place)
    train, test = load_images("svhn", folder=tmp_path)
    assert train.labels.tolist() == [1, 0, 9, 2, 0]  # 10 is the digit 0
    assert train.classes == tuple("0123456789")
    assert int(test.images[4, 2, 7, 11]) == PIXELS[7, 11, 2, 4]
    np.testing.assert_array_equal(train.images, np.moveaxis(PIXELS, (3, 2), (0, 1)))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": LABELS[:3]}, r"`y` \(=ndarray of shape \(3, 1\), uint8\) .*train_32x32"),
        ({"y": LABELS * 0}, r"`y` .*from 1 to 10"),
        ({"X": PIXELS[..., 0]}, r"`X` .*\(H, W, C, N\)"),
        ({"X": PIXELS.astype(float)}, "train_32x32.*uint8"),
    ],
    ids=["count", "label 0", "axes", "floats"],
)
def test_bad_arrays_are_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    write(tmp_path / "svhn", **arrays)
    with pytest.raises(InputError, match=message):
        load_images("svhn", folder=tmp_path)


def test_bad_files_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    whole = (tmp_path / "test_32x32.mat").read_bytes()
    for data in (b"", b"no matlab file", whole[: len(whole) // 2]):
        (tmp_path / "test_32x32.mat").write_bytes(data)
        with pytest.raises(InputError, match=r"`file` \(='.*test_32x32\.mat'\) must be a MATLAB 5 file"):
            load_images("svhn", folder=tmp_path)
    savemat(tmp_path / "test_32x32.mat", {"X": PIXELS})
    with pytest.raises(InputError, match="the arrays X and y"):
        load_images("svhn", folder=tmp_path)
    (tmp_path / "test_32x32.mat").unlink()
    with pytest.raises(InputError, match=r"`folder` .*test_32x32\.mat"):
        load_images("svhn", folder=tmp_path)
