"""The idx reader and the data sets that come in idx files."""

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from gradaudit.datasets import load_images
from gradaudit.datasets.idx import read_idx
from gradaudit.errors import InputError


def encode(array: np.ndarray, kind: int = 0x08) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape) + array.tobytes()


def write_set(folder: Path, suffix: str = "", train: int = 6, test: int = 4) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    written = {}
    for name, count in (("train", train), ("t10k", test)):
        written[f"{name}-images-idx3-ubyte"] = rng.integers(0, 256, (count, 5, 7), np.uint8)
        written[f"{name}-labels-idx1-ubyte"] = rng.integers(0, 10, count, np.uint8)
    for name, array in written.items():
        data = encode(array)
        (folder / f"{name}{suffix}").write_bytes(gzip.compress(data) if suffix else data)
    return written


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(array=arrays(np.uint8, array_shapes(max_dims=4)), packed=st.booleans())
def test_what_was_written_is_read(tmp_path: Path, array: np.ndarray, packed: bool) -> None:
    file = tmp_path / ("a.gz" if packed else "a")
    file.write_bytes(gzip.compress(encode(array)) if packed else encode(array))
    np.testing.assert_array_equal(read_idx(file, array.ndim), array)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(length=st.integers(0, 15 + 24))
def test_every_truncation_is_refused(tmp_path: Path, length: int) -> None:
    whole = encode(np.zeros((2, 3, 4), np.uint8))
    assert len(whole) == 40
    (tmp_path / "short").write_bytes(whole[:length])
    with pytest.raises(InputError, match=r"`file` \(='.*short'\)"):
        read_idx(tmp_path / "short", 3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (encode(np.zeros((2, 3, 4), np.uint8)) + b"x", r"40 bytes long, .* it has 41"),
        (encode(np.zeros(3, np.uint8)), "3 dimensions, which starts with 00 00 08 03; it starts with 00 00 08 01"),
        (encode(np.zeros((1, 1, 1), ">f4"), kind=0x0D), "unsigned bytes.* it starts with 00 00 0d 03"),
        (b"\x1f\x8b" + bytes(30), "it starts with 1f 8b 00 00"),
        (struct.pack(">BBBB3I", 0, 0, 8, 3, *[2**32 - 1] * 3), "bytes long, as its header"),
    ],
    ids=["trailing", "dimensions", "dtype", "magic", "absurd shape"],
)
def test_bad_idx_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "bad").write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        read_idx(tmp_path / "bad", 3)
    assert str(tmp_path / "bad") in str(caught.value)


def test_a_truncated_gz_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2, 30, 30), np.uint8)
    (tmp_path / "a.gz").write_bytes(gzip.compress(encode(noise))[:-40])
    with pytest.raises(InputError, match=r"a\.gz'\) must be a readable idx file"):
        read_idx(tmp_path / "a.gz", 3)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("name", "place"),
    [("mnist", "mnist"), ("mnist", "MNIST/raw"), ("fashion-mnist", "fashion_mnist"), ("fashion_mnist", "FashionMNIST/raw")],
)
def test_sets_are_found_in_their_places(tmp_path: Path, name: str, place: str, suffix: str) -> None:
    written = write_set(tmp_path / place, suffix)
    train, test = load_images(name, folder=tmp_path)
    assert train.shape == (1, 5, 7)
    assert train.classes[0] == ("0" if name == "mnist" else "T-shirt/top")
    np.testing.assert_array_equal(train.images[:, 0], written["train-images-idx3-ubyte"])
    np.testing.assert_array_equal(train.labels, written["train-labels-idx1-ubyte"])
    np.testing.assert_array_equal(test.images[:, 0], written["t10k-images-idx3-ubyte"])
    np.testing.assert_array_equal(test.labels, written["t10k-labels-idx1-ubyte"])


def test_a_folder_with_the_files_themselves_must_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(tmp_path / "mine")
    assert len(load_images("fashion-mnist", folder=tmp_path / "mine")[0]) == 6
    monkeypatch.setenv("GRADAUDIT_DATA", str(tmp_path / "mine"))  # could as well be MNIST
    with pytest.raises(InputError, match="fashion_mnist"):
        load_images("fashion-mnist")


def test_the_environment_variable_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(tmp_path / "mnist")
    monkeypatch.setenv("GRADAUDIT_DATA", str(tmp_path))
    assert len(load_images("mnist")[1]) == 4


def test_images_and_labels_must_be_as_many(tmp_path: Path) -> None:
    write_set(tmp_path / "mnist")
    (tmp_path / "mnist/t10k-labels-idx1-ubyte").write_bytes(encode(np.zeros(3, np.uint8)))
    with pytest.raises(InputError, match=r"t10k-labels-idx1-ubyte'\) must be one of 4 labels, .* it has 3"):
        load_images("mnist", folder=tmp_path)


def test_a_label_above_nine_is_refused(tmp_path: Path) -> None:
    write_set(tmp_path / "mnist")
    (tmp_path / "mnist/train-labels-idx1-ubyte").write_bytes(encode(np.full(6, 10, np.uint8)))
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte'\) .*from 0 to 9"):
        load_images("mnist", folder=tmp_path)


def test_absent_files_are_named_with_the_places_and_the_remedies(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_images("mnist", folder=tmp_path)
    message = str(caught.value)
    for part in (
        f"`folder` (='{tmp_path}')",
        "train-images-idx3-ubyte or train-images-idx3-ubyte.gz",
        str(tmp_path / "mnist"),
        str(tmp_path / "MNIST/raw"),
        "GRADAUDIT_DATA",
        'load_images("torchvision:MNIST")',
    ):
        assert part in message


@pytest.mark.skipif("GRADAUDIT_DATA" not in os.environ, reason="GRADAUDIT_DATA is not set")
@pytest.mark.parametrize(("name", "mean"), [("mnist", 0.1307), ("fashion-mnist", 0.2860)])
def test_the_real_sets_have_their_published_mean(name: str, mean: float) -> None:
    train, test = load_images(name)
    assert (len(train), len(test), train.shape) == (60_000, 10_000, (1, 28, 28))
    assert abs(float(train.mean()) - mean) < 5e-5
