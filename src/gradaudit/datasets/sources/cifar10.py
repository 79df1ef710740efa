"""CIFAR-10: Krizhevsky (2009), "Learning multiple layers of features from tiny images"."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gradaudit.datasets.damage import image_set, reading
from gradaudit.datasets.locate import locate
from gradaudit.datasets.safe_pickle import unpickle_batch
from gradaudit.datasets.sources.npz import npz
from gradaudit.errors import InputError, require
from gradaudit.images import ImageSet

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_BATCHES = "cifar-10-batches-py"
_TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
_FILES = (*_TRAIN, "test_batch", "batches.meta")


def cifar10(*, folder: Path | None = None) -> tuple[ImageSet, ImageSet]:
    """CIFAR-10: 50,000 + 10,000 photographs, 3x32x32, from the python batches, their `.tar.gz` or an `.npz`.

    Args:
        folder: has `cifar-10-batches-py/`, `cifar-10-python.tar.gz` or `cifar10.npz`, in `cifar10/` or directly. The batches are
            pickles; they are read without running code.

    Raises:
        InputError: a file is absent, damaged or a pickle with code in it; names it.
    """
    found = locate(folder, ("cifar10", "."), (_BATCHES, "cifar-10-python.tar.gz", "cifar10.npz"), "CIFAR10")
    if found.suffix == ".npz":
        return npz(path=found, classes=CLASSES)
    batches = dict(_from_folder(found) if found.is_dir() else _from_tar(found))
    for name in _FILES:
        require(name in batches, "file", str(found), f"one with all of {', '.join(_FILES)}; {name} is not there")
    train, test = [batches[name] for name in _TRAIN], [batches["test_batch"]]
    return _joined(found, train, batches["batches.meta"]), _joined(found, test, batches["batches.meta"])


def _from_folder(folder: Path) -> Iterator[tuple[str, Any]]:
    for name in _FILES:
        if (folder / name).exists():
            with reading(folder / name, "a readable file"):
                data = (folder / name).read_bytes()
            yield name, _content(folder / name, data)


def _from_tar(file: Path) -> Iterator[tuple[str, Any]]:
    with reading(file, "an intact .tar.gz"), tarfile.open(file) as archive:
        for member in archive:  # in the archive's order: a seek backwards would unpack it again from the start
            folder, _, name = member.name.rpartition("/")
            content = archive.extractfile(member) if folder == _BATCHES and name in _FILES else None
            if content is not None:
                yield name, _content(file / name, content.read())


def _content(file: Path, data: bytes) -> Any:
    batch = unpickle_batch(file, data)
    try:
        if file.name == "batches.meta":
            return tuple(name.decode() for name in batch[b"label_names"])
        images, labels = batch[b"data"], np.array(batch[b"labels"], dtype=np.int64)
        return images.reshape(len(labels), 3, 32, 32), labels
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        expected = f"a CIFAR-10 batch: `data` (N, 3072) and `labels` (N,), or `label_names` ({error!r})"
        raise InputError("file", str(file), expected) from error


def _joined(found: Path, parts: list[tuple[np.ndarray, np.ndarray]], classes: tuple[str, ...]) -> ImageSet:
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return image_set(found, images, labels, classes)
