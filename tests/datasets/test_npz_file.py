"""Data sets in .npz files: every layout, every dtype, there and back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradaudit.datasets import load_images, save_images
from gradaudit.errors import InputError, StoreError
from gradaudit.images import ImageSet

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 5, 7), np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def arrays(images: np.ndarray = PIXELS, labels: np.ndarray = LABELS, **others: Any) -> dict[str, Any]:
    return {"train_images": images, "train_labels": labels, "test_images": images[:2], "test_labels": labels[:2]} | others


def load(tmp_path: Path, content: dict[str, Any], **options: Any) -> tuple[ImageSet, ImageSet]:
    np.savez(tmp_path / "set.npz", **content)
    return load_images(tmp_path / "set.npz", **options)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    channels=st.sampled_from((1, 3)),
    height=st.integers(1, 4),
    width=st.integers(1, 4),
    masked=st.booleans(),
    classes=st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), min_size=1, max_size=4),
)
def test_what_was_saved_is_loaded(tmp_path: Path, channels: int, height: int, width: int, masked: bool, classes: list[str]) -> None:
    def images(count: int) -> ImageSet:
        generator = torch.Generator().manual_seed(count)
        pixels = torch.randint(0, 256, (count, channels, height, width), generator=generator, dtype=torch.uint8)
        labels = torch.randint(0, len(classes), (count,), generator=generator)
        return ImageSet(pixels, labels, tuple(classes), pixels[:, 0] > 100 if masked else None)

    path = save_images(tmp_path / "set.npz", images(5), images(3))
    train, test = load_images(path)
    assert (train.fingerprint, test.fingerprint) == (images(5).fingerprint, images(3).fingerprint)
    assert train.classes == tuple(classes)


def test_keras_names_and_label_columns(tmp_path: Path) -> None:
    labels = LABELS[:, None].astype(np.uint16)
    content = {"x_train": PIXELS, "y_train": labels, "x_test": PIXELS[:2], "y_test": labels[:2]}
    train, test = load(tmp_path, content)
    assert train.labels.tolist() == LABELS.tolist()
    assert test.classes == ("0", "1", "2")
    np.testing.assert_array_equal(train.images[:, 0], PIXELS)


def test_layouts(tmp_path: Path) -> None:
    colour = RNG.integers(0, 256, (6, 3, 5, 7), np.uint8)
    for images, expected in (
        (PIXELS, PIXELS[:, None]),
        (PIXELS[:, None], PIXELS[:, None]),
        (PIXELS[..., None], PIXELS[:, None]),
        (colour, colour),
        (np.moveaxis(colour, 1, 3), colour),
    ):
        np.testing.assert_array_equal(load(tmp_path, arrays(images))[0].images, expected)


def test_an_ambiguous_layout_needs_a_word(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (6, 3, 5, 3), np.uint8)
    with pytest.raises(InputError, match=r'`train_images` .*unambiguous.*layout="NCHW" or layout="NHWC" for .*set\.npz'):
        load(tmp_path, arrays(images))
    assert load(tmp_path, arrays(images), layout="NCHW")[0].shape == (3, 5, 3)
    assert load(tmp_path, arrays(images), layout="NHWC")[0].shape == (3, 3, 5)
    with pytest.raises(InputError, match=r"`layout` \(='CHWN'\)"):
        load(tmp_path, arrays(images), layout="CHWN")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_multiples_of_a_255th_come_back_exactly(tmp_path: Path, dtype: type) -> None:
    images = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    for floats in (images.astype(dtype) / dtype(255), (images / 255).astype(dtype), images.astype(dtype) * dtype(1 / 255)):
        train, _ = load(tmp_path, arrays(floats, LABELS[:4]))
        np.testing.assert_array_equal(train.images[:, 0], images)


def test_other_floats_are_rounded_with_a_warning(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"train_images in .*set\.npz: not multiples of 1/255"):
        train, _ = load(tmp_path, arrays(np.full((6, 2, 2), 0.25), test_images=np.zeros((2, 2, 2))))
    assert (train.images == 64).all()  # 63.75


@pytest.mark.parametrize(
    "images", [PIXELS.astype(float), -(PIXELS / 255), np.full((6, 2, 2), np.nan), PIXELS.astype(np.int64) + 256]
)
def test_other_ranges_and_dtypes_are_refused(tmp_path: Path, images: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"`train_images` .*uint8, integers from 0 to 255, or floats in \[0, 1\], in .*set\.npz"):
        load(tmp_path, arrays(images))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"train_images": PIXELS, "spare": LABELS}, "train_labels, test_images, test_labels; its arrays are: train_images, spare"),
        (arrays(np.array([{}] * 6)), "without pickled objects .*allow_pickle=False"),
        (arrays(classes=np.array([{}, {}, {}])), "without pickled objects .*allow_pickle=False"),
        (arrays(PIXELS[0]), r"`train_images` .*must be \(N, H, W\)"),
        (arrays(RNG.integers(0, 256, (6, 2, 5, 7), np.uint8)), r"`train_images` .*C of 1 or 3"),
        (arrays(PIXELS[:0], LABELS[:0]), "at least one image"),
        (arrays(labels=LABELS[:5]), r"set\.npz.*of shape \(6,\)"),
        (arrays(labels=LABELS - 1), r"set\.npz.*`labels`"),
        (arrays(labels=LABELS / 2), r"set\.npz.*integers"),
        (arrays(classes=np.array(["a", "b"])), r"set\.npz.*from 0 to 1"),
        (arrays(train_signal_mask=PIXELS), r"set\.npz.*`signal_mask` .*boolean"),
        (arrays(layout="CHW"), r"`layout` \(='CHW'\)"),
        (arrays(test_images=PIXELS[:2, 1:]), r"agree in shape; these have \(1, 5, 7\) and \(1, 4, 7\)"),
    ],
)
def test_bad_arrays_are_refused(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(tmp_path, content)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", **arrays())
    whole = (tmp_path / "set.npz").read_bytes()
    broken = bytearray(whole)
    broken[200] ^= 0xFF  # a pixel: the archive's checksum tells
    for data in (b"", whole[:-40], b"\x80\x04N.", bytes(broken)):
        (tmp_path / "set.npz").write_bytes(data)
        with pytest.raises(InputError, match=r"set\.npz'\) must be an intact \.npz file"):
            load_images(tmp_path / "set.npz")


def test_one_half_may_have_masks(tmp_path: Path) -> None:
    train, test = load(tmp_path, arrays(test_signal_mask=PIXELS[:2] > 9))
    assert train.signal_mask is None
    assert test.signal_mask is not None
    np.testing.assert_array_equal(test.signal_mask, PIXELS[:2] > 9)


def test_saving_refuses_what_it_could_not_load(tmp_path: Path) -> None:
    images = ImageSet(torch.from_numpy(PIXELS[:, None]), torch.from_numpy(LABELS), ("a", "b", "c"))
    narrow = ImageSet(images.images[..., :3], images.labels, images.classes)
    renamed = ImageSet(images.images, images.labels, ("a", "b", "d"))
    with pytest.raises(InputError, match=r"`path` .*\.npz"):
        save_images(tmp_path / "set.npy", images, images)
    with pytest.raises(InputError, match=r"`test` .*\(1, 5, 7\)"):
        save_images(tmp_path / "set.npz", images, narrow)
    with pytest.raises(InputError, match=r"`test` .*classes of `train`"):
        save_images(tmp_path / "set.npz", images, renamed)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot write .*set\.npz"):
        save_images(tmp_path / "file/set.npz", images, images)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
