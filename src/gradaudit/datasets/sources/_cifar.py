"""The python batches of CIFAR: Krizhevsky (2009), "Learning multiple layers of features from tiny images"."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gradaudit.datasets.damage import image_set, reading
from gradaudit.datasets.locate import locate
from gradaudit.datasets.safe_pickle import unpickle_batch
from gradaudit.datasets.sources.npz import npz
from gradaudit.errors import InputError, require
from gradaudit.images import ImageSet


@dataclass(frozen=True)
class Cifar:
    """Where one of the two data sets keeps what.

    Args:
        name: its own, as in `cifar10.npz`.
        torchvision: its name there.
        folder: of the batches, in the archive too.
        archive: of the folder.
        train, test, meta: names of the batches.
        labels, names: keys of the labels in a batch and of the class names in `meta`.
        classes: names, for an `.npz`.
    """

    name: str
    torchvision: str
    folder: str
    archive: str
    train: tuple[str, ...]
    test: str
    meta: str
    labels: bytes
    names: bytes
    classes: tuple[str, ...] | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """All batches."""
        return (*self.train, self.test, self.meta)


def cifar_images(cifar: Cifar, folder: Path | None) -> tuple[ImageSet, ImageSet]:
    """Train and test images from the batches in a folder, from their archive, or from an `.npz`.

    Args:
        cifar: which.
        folder: the batches' own, or one that has them.

    Raises:
        InputError: a file is absent, damaged or a pickle with code in it; names it.
    """
    own = folder is not None and any((Path(folder) / name).is_file() for name in (cifar.train[0], cifar.meta))
    names = (cifar.folder, cifar.archive, f"{cifar.name}.npz")
    found = Path(str(folder)) if own else locate(folder, (cifar.name, "."), names, cifar.torchvision)
    if found.suffix == ".npz":
        return npz(path=found, classes=cifar.classes)
    batches = dict(_from_folder(cifar, found) if found.is_dir() else _from_tar(cifar, found))
    for name in cifar.files:
        require(name in batches, "file", str(found), f"one with all of {', '.join(cifar.files)}; {name} is not there")
    halves = ([batches[name] for name in cifar.train], [batches[cifar.test]])
    train, test = (_joined(found, half, batches[cifar.meta]) for half in halves)
    return train, test


def _from_folder(cifar: Cifar, folder: Path) -> Iterator[tuple[str, Any]]:
    for name in cifar.files:
        if (folder / name).exists():
            with reading(folder / name, "a readable file"):
                data = (folder / name).read_bytes()
            yield name, _content(cifar, folder / name, data)


def _from_tar(cifar: Cifar, file: Path) -> Iterator[tuple[str, Any]]:
    with reading(file, "an intact .tar.gz"), tarfile.open(file) as archive:
        for member in archive:  # in the archive's order: a seek backwards would unpack it again from the start
            folder, _, name = member.name.rpartition("/")
            content = archive.extractfile(member) if folder == cifar.folder and name in cifar.files else None
            if content is not None:
                yield name, _content(cifar, file / name, content.read())


def _content(cifar: Cifar, file: Path, data: bytes) -> Any:
    batch = unpickle_batch(file, data)
    try:
        if file.name == cifar.meta:
            return tuple(name.decode() for name in batch[cifar.names])
        images, labels = batch[b"data"], np.array(batch[cifar.labels], dtype=np.int64)
        return images.reshape(len(labels), 3, 32, 32), labels
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        keys = f"`data` (N, 3072) and `{cifar.labels.decode()}` (N,), or `{cifar.names.decode()}`"
        raise InputError("file", str(file), f"a {cifar.torchvision} batch: {keys} ({error!r})") from error


def _joined(found: Path, parts: list[tuple[np.ndarray, np.ndarray]], classes: tuple[str, ...]) -> ImageSet:
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return image_set(found, images, labels, classes)
