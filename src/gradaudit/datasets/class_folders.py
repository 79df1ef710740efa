"""Which image files a folder of class folders holds."""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gradaudit.datasets.pictures import SUFFIXES
from gradaudit.errors import InputError, require

TRAIN = ("train", "training")
TEST = ("test", "testing", "val", "valid", "validation")  # the first that is there
LEFT = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
LEFT_FILES = {"Thumbs.db", "thumbs.db", "desktop.ini", "Desktop.ini"}


@dataclass(frozen=True)
class Listing:
    """Image files (N) with their labels, integers (N,)."""

    files: list[Path]
    labels: Tensor

    def __getitem__(self, which: Tensor) -> Listing:
        chosen = torch.arange(len(self.files))[which].tolist()
        return Listing([self.files[index] for index in chosen], self.labels[which])


def subfolders(folder: Path) -> tuple[str, ...]:
    """The visible folders in `folder`, sorted, without what systems leave there and links back to it or to what it lies in."""
    above = _and_above(folder)
    places = (entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".") and entry.name not in LEFT)
    return tuple(sorted(entry.name for entry in places if os.path.realpath(entry) not in above))


def class_names(folder: Path) -> tuple[str, ...]:
    """The class folders in `folder`, sorted.

    Raises:
        InputError: there are fewer than two.
    """
    names = subfolders(folder)
    inner = folder / names[0] if len(names) == 1 else folder
    meant = f". Was {inner} meant?" if inner != folder and len(subfolders(inner)) >= 2 else ""
    expected = f"a folder of at least two class folders, or of train/ and test/ (or val/) that hold them; {folder} has"
    require(len(names) >= 2, "folder", str(folder), f"{expected} {', '.join(names) or 'none'}{meant}")
    return names


def halves(folder: Path) -> tuple[Path, Path] | None:
    """The folders of training and of test images in `folder`, by their names, in small or capital letters; None without both."""
    named = {name.lower(): folder / name for name in subfolders(folder)}
    train, test = (next((named[word] for word in words if word in named), None) for words in (TRAIN, TEST))
    return None if train is None or test is None else (train, test)


def list_images(folder: Path, classes: tuple[str, ...]) -> Listing:
    """The images in the class folders and in the folders below them, sorted by class and path; hidden ones are left out.

    A file counts once, however many links lead to it: by its own path if that is below a class folder, else by the first link.

    Raises:
        InputError: a class folder has no image, or can't be read; names it.

    Warns:
        UserWarning: some files are no images, or some links lead where another path has led.
    """
    walk = _FolderWalk()
    found = walk.files([folder / name for name in classes])
    files: list[Path] = []
    labels: list[int] = []
    for label, (name, below) in enumerate(zip(classes, found, strict=True)):
        images = [file for file in below if file.suffix.lower() in SUFFIXES]
        expected = f"a class folder with at least one image of its own ({', '.join(sorted(SUFFIXES))})"
        require(len(images) > 0, "folder", str(folder / name), expected)
        files += images
        labels += [label] * len(images)
    others = [file for below in found for file in below if file.suffix.lower() not in SUFFIXES]
    _warn(others, f"files in {folder} are no images and were left out")
    _warn(walk.again, f"links in {folder} lead to files or folders that another path leads to, and which count once")
    return Listing(files, torch.tensor(labels))


@dataclass
class _FolderWalk:
    """Goes through folders and takes every place once, links after everything that is reached without them."""

    taken: set[Any] = field(default_factory=set)
    again: list[Path] = field(default_factory=list)
    links: deque[tuple[list[Path], Path]] = field(default_factory=deque)

    def files(self, folders: Sequence[Path]) -> list[list[Path]]:
        """The visible files below each folder, sorted."""
        found: list[list[Path]] = [[] for _ in folders]
        places = [Path(os.path.realpath(folder)) for folder in folders]
        for folder in (*folders, *places):
            self.taken |= _and_above(folder.parent)
        self.taken -= {*map(str, places)}
        for below, folder in zip(found, folders, strict=True):
            self._folder(below, folder)
        while self.links:
            below, link = self.links.popleft()
            if link.is_dir():
                self._folder(below, link)
            else:
                self._take(below, link, os.path.realpath(link))
        return [sorted(below) for below in found]

    def _folder(self, below: list[Path], top: Path) -> None:
        for here, names, files in os.walk(top, onerror=_refuse):
            place = os.path.realpath(here)
            if place in self.taken:
                self.again.append(Path(here))
                names.clear()
                continue
            self.taken.add(place)
            names[:] = [name for name in names if not name.startswith(".") and name not in LEFT]
            self.links += [(below, Path(here, name)) for name in names if os.path.islink(os.path.join(here, name))]
            for name in files:
                if not name.startswith(".") and name not in LEFT_FILES:
                    self._file(below, Path(here, name), os.path.join(place, name))

    def _file(self, below: list[Path], file: Path, place: str) -> None:
        if file.is_symlink():
            self.links.append((below, file))
        else:
            self._take(below, file, place)

    def _take(self, below: list[Path], file: Path, place: str) -> None:
        key = _inode(place) or place
        if key in self.taken:
            self.again.append(file)
        else:
            self.taken.add(key)
            below.append(file)


def _inode(place: str) -> tuple[int, int] | None:
    """What the several names of one file on disk have in common; None where it has one name, or is not there."""
    try:
        state = os.stat(place)
    except OSError:
        return None
    return (state.st_dev, state.st_ino) if state.st_nlink > 1 else None


def _and_above(folder: Path) -> set[str]:
    place = Path(os.path.realpath(folder))
    return {str(place), *map(str, place.parents)}


def _refuse(error: OSError) -> None:
    raise InputError("folder", str(error.filename), f"a folder that can be read ({error.strerror})") from error


def _warn(files: Sequence[Path], what: str) -> None:
    if files:
        warnings.warn(f"{len(files)} {what}, such as {files[0]}", stacklevel=3)
