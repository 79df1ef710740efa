"""The idx format of the MNIST family: http://yann.lecun.com/exdb/mnist/, "file formats"."""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gradaudit.datasets.damage import image_set, reading
from gradaudit.datasets.locate import locate
from gradaudit.errors import InputError, require
from gradaudit.images import ImageSet

_UNSIGNED_BYTE = 0x08
IMAGES = re.compile(r"images[-.]idx3-ubyte(\.gz)?$")  # with a dot where a well-known mirror of MNIST unpacked them
LABELS = re.compile(r"labels[-.]idx1-ubyte(\.gz)?$")


def read_idx(file: Path, dimensions: int) -> np.ndarray:
    """The uint8 array in an idx file; one that ends in `.gz` is unpacked.

    Raises:
        InputError: not idx, not unsigned bytes, another number of dimensions, too short or too long; names the file.
    """
    with reading(file, "a readable idx file"):
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    start = 4 + 4 * dimensions
    magic = bytes((0, 0, _UNSIGNED_BYTE, dimensions))
    expected = f"an idx file of unsigned bytes in {dimensions} dimensions, which starts with {magic.hex(' ')}"
    if data[:4] != magic or len(data) < start:
        raise InputError("file", str(file), f"{expected}; it starts with {data[:4].hex(' ') or 'nothing'}")
    shape = tuple(np.frombuffer(data, ">u4", dimensions, offset=4).tolist())
    size = start + int(np.prod(shape, dtype=object))
    require(len(data) == size, "file", str(file), f"{size:,} bytes long, as its header {shape} says; it has {len(data):,}")
    return np.frombuffer(bytearray(data), np.uint8, offset=start).reshape(shape)


def idx_images(folder: Path | None, places: Sequence[str], classes: tuple[str, ...], torchvision: str) -> tuple[ImageSet, ImageSet]:
    """Train and test images of a data set in MNIST's four files, plain or `.gz`, in their own order.

    Raises:
        InputError: a file is absent or damaged, or has another number of labels than images.
    """

    def half(name: str) -> ImageSet:
        images, labels = (
            locate(folder, places, (f"{name}-{part}", f"{name}-{part}.gz"), torchvision)
            for part in ("images-idx3-ubyte", "labels-idx1-ubyte")
        )
        return _image_set(images, read_idx(images, 3), labels, read_idx(labels, 1), classes)

    return half("train"), half("t10k")


def idx_files(folder: Path) -> list[Path]:
    """The files of images in a folder, sorted."""
    return sorted(file for file in folder.glob("*") if IMAGES.search(file.name) and file.is_file())


def idx_folder(folder: Path, classes: tuple[str, ...] | None) -> tuple[ImageSet, ImageSet]:
    """Train and test images of the four idx files in a folder, whichever data set of MNIST's family they are.

    Args:
        folder: has them, plain or `.gz`; the names begin with `train` and `t10k` or `test`, and a prefix before these is the same.
        classes: names; the labels' numbers where None.

    Raises:
        InputError: a file is absent, damaged or there twice, or has another number of labels than images.
    """
    arrays = {half: _half(folder, words) for half, words in (("train", ("train",)), ("test", ("t10k", "test")))}
    count = 1 + max(int(labels.max(initial=0)) for _, _, _, labels in arrays.values())
    names = classes or tuple(str(number) for number in range(count))
    return _image_set(*arrays["train"], names), _image_set(*arrays["test"], names)


def _half(folder: Path, words: Sequence[str]) -> tuple[Path, np.ndarray, Path, np.ndarray]:
    images, labels = (_one(folder, words, pattern) for pattern in (IMAGES, LABELS))
    return images, read_idx(images, 3), labels, read_idx(labels, 1)


def _one(folder: Path, words: Sequence[str], pattern: re.Pattern[str]) -> Path:
    files = (file for file in sorted(folder.glob("*")) if file.is_file() and pattern.search(file.name))
    found = {file.name.removesuffix(".gz"): file for file in files if any(f"{word}-" in file.name for word in words)}
    expected = f"a folder with one file of {' or '.join(words)} {pattern.pattern.partition('[')[0]} in idx format, plain or .gz"
    require(len(found) == 1, "folder", str(folder), f"{expected}; it has {', '.join(found) or 'none'}")
    return next(iter(found.values()))


def _image_set(images: Path, pixels: np.ndarray, labels: Path, values: np.ndarray, classes: tuple[str, ...]) -> ImageSet:
    expected = f"one of {len(pixels):,} labels, for the images in {images.name}; it has {len(values):,}"
    require(len(pixels) == len(values), "file", str(labels), expected)
    return image_set(images, pixels[:, None], values, classes)
