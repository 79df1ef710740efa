"""The idx format of the MNIST family: http://yann.lecun.com/exdb/mnist/, "file formats"."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gradaudit.datasets.damage import image_set, reading
from gradaudit.datasets.locate import locate
from gradaudit.errors import InputError, require
from gradaudit.images import ImageSet

_UNSIGNED_BYTE = 0x08


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
        pixels, values = read_idx(images, 3), read_idx(labels, 1)
        expected = f"one of {len(pixels):,} labels, for the images in {images.name}; it has {len(values):,}"
        require(len(pixels) == len(values), "file", str(labels), expected)
        return image_set(images, pixels[:, None], values, classes)

    return half("train"), half("t10k")
