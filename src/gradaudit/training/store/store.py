"""The store: outcomes of finished work under the hash of all that decided them.

An entry is written whole or not at all, so a killed run continues where it was and several processes or machines can share a store.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs
from fsspec.implementations.local import LocalFileSystem

from gradaudit.errors import InputError, StoreError
from gradaudit.training.store.keys import key_of
from gradaudit.training.store.leftovers import sweep
from gradaudit.training.store.local import LocalFiles
from gradaudit.training.store.remote import RemoteFiles, remote_files

LOCAL = ("file://", "local://")


def default_folder() -> Path | str:
    """`$GRADAUDIT_STORE`, a folder or a URL, or the user's cache folder."""
    own = os.environ.get("GRADAUDIT_STORE")
    if own and "://" in own:
        return own
    return Path(own or platformdirs.user_cache_path("gradaudit") / "store")


class Store:
    """A folder of outcomes, one JSON file each, and of arrays and classifiers; or the same at a URL.

    Args:
        folder: made if need be; or the URL of an object store or another file system that fsspec knows, such as
            `s3://bucket/folder`; `default_folder()` unless given.

    Raises:
        InputError: nothing can be written there.
        MissingExtraError: the package for such a URL is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.files = _files_at(default_folder() if folder is None else folder)
        self.files.prove()
        sweep(self.folder)

    @property
    def folder(self) -> Path:
        """The folder; for a URL the local one that holds copies of its arrays and classifiers."""
        return self.files.folder

    @property
    def place(self) -> str:
        """The folder or the URL: `Store(store.place)` is the same store, on another machine too where that one sees it."""
        return self.files.place

    @property
    def remote(self) -> bool:
        """Whether it is a URL, which every machine sees alike, and no folder."""
        return self.files.remote

    @property
    def private(self) -> bool:
        """Whether only this process sees it, as `memory://`."""
        return self.place.startswith("memory://")

    def path(self, description: Mapping[str, Any], suffix: str = ".json") -> Path:
        """Where the outcome of what is described lies, or would lie: in the folder of its kind, `description["what"]`.

        Of a store at a URL it is a copy's place: `fetch` before it is read, `publish` once it is written.
        """
        key = key_of(description)
        return self.folder / str(description["what"]) / key[:2] / (key + suffix)

    def get(self, description: Mapping[str, Any]) -> dict[str, Any] | None:
        """The outcome, or None where there is none.

        Raises:
            StoreError: a URL can't be read; waiting may help.

        Warns:
            UserWarning: the entry is damaged, which counts as none.
        """
        path = self.path(description)
        try:
            return dict(json.loads(self.files.read(path).decode())["outcome"])
        except FileNotFoundError:
            return None
        except StoreError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            warnings.warn(f"ignoring a damaged entry of the store, {self.files.name_of(path)}: {error}", stacklevel=2)
            return None

    def put(self, description: Mapping[str, Any], outcome: Mapping[str, Any]) -> None:
        """Keep the outcome, whole or not at all.

        Raises:
            StoreError: it can't be written, for instance because the disk is full.
            ValueError: the outcome holds a number that is not finite.
        """
        entry = {"description": dict(description), "outcome": dict(outcome)}
        text = json.dumps(entry, sort_keys=True, indent=1, allow_nan=False) + "\n"
        self.files.write(self.path(description), text.encode())

    def fetch(self, path: Path) -> Path:
        """The path itself, with the file there if the store has it: a URL's is brought here the first time.

        Raises:
            StoreError: it can't be.
        """
        self.files.fetch(path)
        return path

    def publish(self, path: Path) -> None:
        """Make a file that was written at `path`, whole, part of the store; where that is a folder, it is already.

        Raises:
            StoreError: it can't be uploaded.
        """
        self.files.publish(path)

    def fetch_folder(self, path: Path) -> Path:
        """The path itself, with the folder there if the store has it; `fetch` for a folder.

        Raises:
            StoreError: it can't be brought here.

        Warns:
            UserWarning: it is damaged, which counts as none.
        """
        if self.remote and not path.exists():
            archive = self.fetch(_archive(path))
            if archive.exists():
                self._unpack(archive, path)
        return path

    def publish_folder(self, path: Path) -> None:
        """Make a folder that was written at `path`, whole, part of the store, as one file.

        Raises:
            StoreError: it can't be uploaded.
        """
        if self.remote:
            shutil.make_archive(str(path), "zip", path)
            self.publish(_archive(path))
            _archive(path).unlink()

    def _unpack(self, archive: Path, path: Path) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=path.parent) as part:
                shutil.unpack_archive(archive, Path(part) / "whole")
                (Path(part) / "whole").rename(path)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            if not path.exists():  # else another process was first
                warnings.warn(f"ignoring a damaged entry of the store, {self.files.name_of(archive)}: {error}", stacklevel=4)
        finally:
            archive.unlink(missing_ok=True)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return _reopened, (self.place,)


def as_store(store: Store | str | os.PathLike[str] | None) -> Store:
    """The store given, or the one in the folder or at the URL given, or the user's own.

    Raises:
        InputError: nothing can be written there, or it is none of these.
        MissingExtraError: the package for such a URL is not installed.
    """
    if isinstance(store, Store):
        return store
    if store is not None and not isinstance(store, (str, os.PathLike)):
        raise InputError("store", store, "a folder or a Store")
    return Store(store)


def _reopened(place: str) -> Store:
    """The store in a worker, which leaves the sweeping to who started it."""
    store = Store.__new__(Store)
    store.files = _files_at(place)
    return store


def _files_at(place: str | os.PathLike[str]) -> LocalFiles | RemoteFiles:
    if isinstance(place, str) and place.startswith(LOCAL):
        return LocalFiles(LocalFileSystem._strip_protocol(place))
    return remote_files(place) if isinstance(place, str) and "://" in place else LocalFiles(place)


def _archive(path: Path) -> Path:
    return path.with_name(path.name + ".zip")
