"""Image files, folders, arrays and paths as people have them: each is read rightly, or refused in words that help."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gradaudit.datasets import load_images
from gradaudit.errors import InputError

RNG = np.random.default_rng(0)
PICTURE = Image.fromarray(RNG.integers(0, 256, (8, 8, 3), np.uint8))
PALETTE = PICTURE.convert("P")


def put(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (8, 8, 3), np.uint8)).save(file)


def put_classes(root: Path, *names: str, count: int = 4) -> None:
    put(*(root / name / f"{index}.png" for name in names for index in range(count)))


def loaded(root: Path, **options: Any) -> Any:
    return load_images(root, **({"size": 8, "cache": root.parent / "cache"} | options))


GOOD: dict[str, tuple[str | bytes, Callable[[Any], Any]]] = {
    "a palette with transparency": ("x.png", lambda file: PALETTE.save(file, transparency=b"\x00\x80\xff")),
    "grey with transparency": ("x.png", lambda file: PICTURE.convert("LA").save(file)),
    "colour with transparency": ("x.png", lambda file: PICTURE.convert("RGBA").save(file)),
    "an animation": ("x.gif", lambda file: PICTURE.save(file, save_all=True, append_images=[PICTURE] * 3)),
    "four colours of print": ("x.jpg", lambda file: PICTURE.convert("CMYK").save(file)),
    "another format than its name says": ("x.png", lambda file: PICTURE.save(file, format="JPEG")),
    "capital letters": ("X.JPEG", lambda file: PICTURE.save(file)),
    "the name that a browser gives": ("x.jfif", lambda file: PICTURE.save(file, format="JPEG")),
    "black and white": ("x.tif", lambda file: PICTURE.convert("1").save(file)),
    "bytes after its end": ("x.jpg", lambda file: (PICTURE.save(file), file.write_bytes(file.read_bytes() + b"more"))),
    "a damaged orientation": ("x.jpg", lambda file: PICTURE.save(file, exif=b"Exif\0\0garbage")),
    "one pixel wide": ("x.png", lambda file: Image.new("RGB", (1, 40)).save(file)),
    "a name with a line break": ("a\nb.png", lambda file: PICTURE.save(file)),
    "a name in Chinese": ("图片.png", lambda file: PICTURE.save(file)),
    "a name that is no text": (b"\xff\xfe.png", lambda file: PICTURE.save(file)),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_file_is_read(tmp_path: Path, name: str) -> None:
    put_classes(tmp_path / "set", "a", "b")
    file, write = GOOD[name]
    write(tmp_path / "set/a" / os.fsdecode(file))
    assert sum(map(len, loaded(tmp_path / "set"))) == 9


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "1 empty: a/x.png"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 3\n", "1 pointers of Git LFS, .*: a/x.png"),
    "a drawing": (b"<svg></svg>", "1 damaged, or of no known format: a/x.png"),
    "a web page": (b"<!DOCTYPE html>", "1 damaged, or of no known format: a/x.png"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_read_is_named_with_what_it_is(tmp_path: Path, name: str) -> None:
    put_classes(tmp_path / "set", "a", "b")
    content, message = BAD[name]
    (tmp_path / "set/a/x.png").write_bytes(content)
    with pytest.raises(InputError, match=message):
        loaded(tmp_path / "set")


@pytest.mark.parametrize(
    ("train", "test"), [("train", "validation"), ("Train", "Test"), ("training", "testing"), ("TRAIN", "val"), ("train", "valid")]
)
def test_halves_are_known_by_their_usual_names(tmp_path: Path, train: str, test: str) -> None:
    put_classes(tmp_path / "set" / train, "a", "b")
    put_classes(tmp_path / "set" / test, "a", "b", count=2)
    found = loaded(tmp_path / "set")
    assert [len(half) for half in found] == [8, 4]
    assert found[0].classes == ("a", "b")


def test_what_systems_leave_in_folders_is_no_class_and_no_warning(tmp_path: Path) -> None:
    put_classes(tmp_path / "set", "a", "b", "__MACOSX", "@eaDir", ".ipynb_checkpoints")
    put(tmp_path / "set/a/@eaDir/thumb.png")
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._0.png"):
        (tmp_path / "set/a" / name).write_bytes(b"x")
    train, test = loaded(tmp_path / "set")
    assert (train.classes, len(train) + len(test)) == (("a", "b"), 8)


@pytest.mark.parametrize("inner", ["train", "images"])
def test_the_folder_inside_is_offered(tmp_path: Path, inner: str) -> None:
    put_classes(tmp_path / "set" / inner, "a", "b")
    with pytest.raises(InputError, match=f"has {inner}. Was .*set/{inner} meant?"):
        loaded(tmp_path / "set")


def test_a_half_that_lacks_classes_is_named_with_those_that_it_has(tmp_path: Path) -> None:
    put_classes(tmp_path / "set/train", "a", "b")
    put_classes(tmp_path / "set/test", "a")
    with pytest.raises(InputError, match=r"set/test'\) .*class folders of train/, \('a', 'b'\); it has \('a',\)"):
        loaded(tmp_path / "set")


X = RNG.integers(2, 256, (6, 8, 8), np.uint8)
Y = np.arange(6) % 2
LABELS = {
    "floats that are whole": Y.astype(float),
    "a 1 among zeros": np.eye(2)[Y],
    "text": np.array(["cat", "dog"])[Y],
    "bytes": np.array([b"cat", b"dog"])[Y],
    "big-endian": Y.astype(">i4"),
    "a column": Y[:, None],
}
PIXELS = {"int64": X.astype(np.int64), "uint16": X.astype(np.uint16), "int32, with channels": X[..., None].astype(np.int32)}


def write(
    file: Path, x: Any, y: Any, names: tuple[str, ...] = ("train_images", "train_labels", "test_images", "test_labels")
) -> Path:
    np.savez(file, **dict(zip(names, (x, y, x, y), strict=True)))
    return file


@pytest.mark.parametrize("name", LABELS)
def test_labels_of_every_usual_kind_are_read(tmp_path: Path, name: str) -> None:
    train, test = load_images(write(tmp_path / "set.npz", X, LABELS[name]))
    assert train.labels.tolist() == test.labels.tolist() == Y.tolist()
    assert train.classes == (("cat", "dog") if name in ("text", "bytes") else ("0", "1"))


@pytest.mark.parametrize("name", PIXELS)
def test_integers_up_to_255_are_pixels(tmp_path: Path, name: str) -> None:
    train, _ = load_images(write(tmp_path / "set.npz", PIXELS[name], Y))
    np.testing.assert_array_equal(train.images[:, 0], X)


@pytest.mark.parametrize("pixels", [X.astype(int) + 1, X.astype(int) - 3, np.minimum(X, 1).astype(int), X / 1.0, X > 9])
def test_other_ranges_are_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"uint8, integers from 0 to 255, or floats in \[0, 1\]"):
        load_images(write(tmp_path / "set.npz", pixels, Y))


@pytest.mark.parametrize("names", [("X_train", "y_train", "X_test", "y_test"), ("train_x", "train_y", "test_x", "test_y")])
def test_other_usual_names_of_arrays_are_known(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert len(load_images(write(tmp_path / "set.npz", X, Y, names))[0]) == 6


def test_labels_that_begin_at_1_are_told(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="no image in .* has the label 0"):
        assert load_images(write(tmp_path / "set.npz", X, Y + 1))[0].classes == ("0", "1", "2")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("https://example.org/mnist.npz", "a path on this machine, or the name of a data set: fetch the files first"),
        ("s3://bucket/photos", "a path on this machine"),
        ("file:///photos", "a path on this machine"),
        ("C:\\photos\\cats", "a path that exists"),
        ("D:/photos", "a path that exists"),
        ("~/no/such/folder", "a path that exists"),
        ("MNIST5K", "did you mean 'mnist5k'"),
        ("Fashion-Mnist2", "did you mean 'fashion_mnist'"),
        ("my_images.py:make", r"written without \.py, as package\.module:function"),
    ],
)
def test_paths_and_names_that_cannot_be_read_say_why(path: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_images(path)


@pytest.mark.parametrize("name", ["photos.zip", "photos.tar", "photos.tar.gz", "photos.7z"])
def test_archives_are_to_be_unpacked(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(InputError, match="unpack it first"):
        load_images(tmp_path / name)


@pytest.mark.parametrize("name", ["mnist.csv", "mnist.parquet", "train.npy", "training.pt"])
def test_files_of_other_kinds_say_what_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"a folder of class folders, idx files, .* or an \.npz file"):
        load_images(tmp_path / name)
