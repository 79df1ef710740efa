"""Which data set a path holds."""

from __future__ import annotations

from pathlib import Path

from gradaudit.datasets.idx import IMAGES, idx_files
from gradaudit.errors import InputError, require

RAW = (".", "raw", "MNIST/raw", "FashionMNIST/raw")  # where torchvision puts idx files
ARCHIVES = {"cifar-10-python.tar.gz": "cifar10", "cifar-100-python.tar.gz": "cifar100", "train_32x32.mat": "svhn"}
PACKED = (".zip", ".tar", ".tgz", ".gz", ".7z", ".rar", ".xz", ".bz2")
BATCHES = {"data_batch_1": "cifar10", "cifar-10-batches-py/data_batch_1": "cifar10"}
BATCHES |= {"meta": "cifar100", "cifar-100-python/meta": "cifar100"}


def held_by(path: Path) -> tuple[str, str, Path]:
    """The name of the data set at a path that exists, the option that takes its place, and that place.

    A folder in which nothing else is found should be one of class folders.

    Raises:
        InputError: the path is a file of no known kind.
    """
    if not path.is_dir():
        return _held_by_file(path)
    for place in (path / inside for inside in RAW):
        if idx_files(place):
            return "idx", "folder", place
    for mark, name in (ARCHIVES | BATCHES).items():
        if (path / mark).is_file():
            return name, "folder", path
    arrays, folders = [*path.glob("*.npz")], any(entry.is_dir() for entry in path.iterdir())
    return ("npz", "path", arrays[0]) if len(arrays) == 1 and not folders else ("folder", "folder", path)


def _held_by_file(path: Path) -> tuple[str, str, Path]:
    if path.suffix == ".npz":
        return "npz", "path", path
    if path.name in ARCHIVES:
        return ARCHIVES[path.name], "folder", path.parent
    if IMAGES.search(path.name):
        return "idx", "folder", path.parent
    packed = path.suffix in PACKED
    require(not packed, "name_or_path", str(path), "a folder or an .npz file: unpack it first")
    known = "a folder of class folders, idx files, CIFAR's or SVHN's files, or an .npz file"
    raise InputError("name_or_path", str(path), known)
