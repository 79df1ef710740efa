"""A store's files at a URL: an object store such as S3, or any other file system that fsspec knows.

Outcomes are read and written there. Arrays and classifiers, which are memory-mapped, have a copy in a local folder, the mirror:
they are fetched once, and written there before they are uploaded.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs
from fsspec.core import url_to_fs

from gradaudit.errors import InputError, MissingExtraError, StoreError, first_line
from gradaudit.files import writable_folder

# Where an object appears whole or not at all, by contract. Elsewhere a file is written under another name, and renamed.
WHOLE = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "memory"}
EXTRAS = {"s3": ("s3fs", "s3"), "s3a": ("s3fs", "s3")}
MARK = ".gradaudit"


class RemoteFiles:
    """Files at a URL, each written whole or not at all; credentials are those that the file system finds by itself.

    Args:
        url: such as `s3://bucket/folder`.

    Raises:
        InputError: there is no such file system.
        MissingExtraError: the file system's package is not installed.
    """

    remote = True

    def __init__(self, url: str) -> None:
        self.place = url.rstrip("/")
        self.protocol = url.partition("://")[0]
        self.system, root = _opened(self.place, self.protocol)
        self.root = str(root).rstrip("/")
        self.folder = writable_folder("GRADAUDIT_CACHE", mirror(self.place)).absolute()

    def name_of(self, path: Path) -> str:
        """The URL of what has its copy at `path`."""
        return f"{self.place}/{self._relative(path)}"

    def read(self, path: Path) -> bytes:
        """The contents of the file whose copy would lie at `path`.

        Raises:
            FileNotFoundError: there is none.
            StoreError: it can't be read.
        """
        with self._reported("read", path):
            data: bytes = self.system.cat_file(self._at(path))
        return data

    def write(self, path: Path, data: bytes) -> None:
        """Write the file whose copy would lie at `path`.

        Raises:
            StoreError: it can't be written.
        """
        with self._reported("write", path), self._whole(path) as target:
            self.system.pipe_file(target, data)

    def fetch(self, path: Path) -> None:
        """Bring the file to `path`, unless it is here or nowhere.

        Raises:
            StoreError: it can't be read, or written here.
        """
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        try:
            with self._reported("read", path):
                self.system.get_file(self._at(path), part)
            os.replace(part, path)
        except FileNotFoundError:
            pass
        finally:
            Path(part).unlink(missing_ok=True)

    def publish(self, path: Path) -> None:
        """Upload the file at `path`.

        Raises:
            StoreError: it can't be written.
        """
        with self._reported("write", path), self._whole(path) as target:
            self.system.put_file(str(path), target)

    def prove(self) -> None:
        """Write and read a mark: whoever may do that may do all that follows; nothing is ever deleted.

        Raises:
            InputError: no such bucket, no credentials, no connection.
        """
        path = self.folder / MARK
        try:
            self.write(path, b"finished work of gradaudit\n")
            self.read(path)
        except (OSError, ValueError) as error:
            reason = error.__cause__ or error
            raise InputError("store", self.place, f"a place that can be written and read ({first_line(reason)})") from error

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _at(self, path: Path) -> str:
        return f"{self.root}/{self._relative(path)}"

    @contextmanager
    def _whole(self, path: Path) -> Iterator[str]:
        target = self._at(path)
        if self.protocol in WHOLE:
            yield target
            return
        folder, _, name = target.rpartition("/")
        self.system.makedirs(folder, exist_ok=True)
        part = f"{folder}/.{name}.{uuid.uuid4().hex}.part"
        yield part
        self.system.mv(part, target)

    @contextmanager
    def _reported(self, doing: str, path: Path) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # each file system has errors of its own
            if doing == "read" and isinstance(error, FileNotFoundError):
                raise
            number = getattr(error, "errno", None) or errno.EIO
            raise StoreError(number, f"cannot {doing} {self.name_of(path)}: {first_line(error)}") from error


@functools.cache
def remote_files(url: str) -> RemoteFiles:
    """The files at the URL, opened once a process."""
    return RemoteFiles(url)


def mirror(url: str) -> Path:
    """Where copies of a remote store's arrays and classifiers lie: below `$GRADAUDIT_CACHE`, or the user's cache folder."""
    cache = os.environ.get("GRADAUDIT_CACHE") or platformdirs.user_cache_path("gradaudit")
    return Path(cache) / "stores" / hashlib.sha256(url.encode()).hexdigest()[:16]


def _opened(url: str, protocol: str) -> tuple[Any, Any]:
    try:
        system, root = url_to_fs(url)
        return system, root
    except ImportError as error:
        if protocol in EXTRAS:
            raise MissingExtraError(*EXTRAS[protocol], f"a store at {url}") from error
        raise InputError("store", url, f"of a file system that is installed ({first_line(error)})") from error
    except Exception as error:  # a bad URL may raise anything
        raise InputError("store", url, f"a folder, or a URL that fsspec can open ({first_line(error)})") from error
