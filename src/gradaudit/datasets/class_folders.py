"""Which image files a folder of class folders holds."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gradaudit.datasets.pictures import SUFFIXES
from gradaudit.errors import InputError, require


@dataclass(frozen=True)
class Listing:
    """Image files (N) with their labels, integers (N,)."""

    files: list[Path]
    labels: Tensor

    def __getitem__(self, which: Tensor) -> Listing:
        return Listing([self.files[index] for index in which.tolist()], self.labels[which])


def class_names(folder: Path) -> tuple[str, ...]:
    """The visible folders in `folder`, sorted.

    Raises:
        InputError: there are fewer than two.
    """
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    expected = f"a folder of at least two class folders, or of train/ and test/ (or val/) that hold them; {folder} has"
    require(len(names) >= 2, "folder", str(folder), f"{expected} {', '.join(names) or 'none'}")
    return tuple(names)


def list_images(folder: Path, classes: tuple[str, ...]) -> Listing:
    """The images in the class folders and in the folders below them, sorted by class and path; hidden ones are left out.

    Raises:
        InputError: a class folder has no image; names it.
    """
    files: list[Path] = []
    labels: list[int] = []
    others: list[Path] = []
    for label, name in enumerate(classes):
        found = _visible(folder / name)
        images = [file for file in found if file.suffix.lower() in SUFFIXES]
        if not images:
            raise InputError(
                "folder", str(folder / name), f"a class folder with at least one image ({', '.join(sorted(SUFFIXES))})"
            )
        files += images
        labels += [label] * len(images)
        others += [file for file in found if file.suffix.lower() not in SUFFIXES]
    if others:
        warnings.warn(f"{len(others)} files in {folder} are no images and were left out, such as {others[0]}", stacklevel=2)
    return Listing(files, torch.tensor(labels))


def _visible(folder: Path) -> list[Path]:
    found: list[Path] = []
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in names if not name.startswith(".")]
    return sorted(found)
