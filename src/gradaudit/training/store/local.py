"""A store's files in a folder: of this machine, or of a file system that several machines share."""

from __future__ import annotations

import os
from pathlib import Path

from gradaudit.files import whole_file, writable_folder


class LocalFiles:
    """Files of a folder, each written whole or not at all.

    Args:
        folder: made if need be.

    Raises:
        InputError: nothing can be written there.
    """

    remote = False

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        # Absolute, since a worker that it is sent to may run in another folder.
        self.folder = writable_folder("store", folder).absolute()

    @property
    def place(self) -> str:
        """What `Store` takes to be the same store."""
        return str(self.folder)

    def prove(self) -> None:
        """Nothing: that a file can be written was proved when the folder was made."""

    def name_of(self, path: Path) -> str:
        """The file at `path`, for messages."""
        return str(path)

    def read(self, path: Path) -> bytes:
        """The contents of the file at `path`.

        Raises:
            OSError: there is none (`FileNotFoundError`), or it can't be read.
        """
        return path.read_bytes()

    def write(self, path: Path, data: bytes) -> None:
        """Write a file at `path`.

        Raises:
            StoreError: it can't be written.
        """
        with whole_file(path) as file:
            file.write(data)

    def fetch(self, path: Path) -> None:
        """Nothing: the file lies at `path` if it is there at all."""

    def publish(self, path: Path) -> None:
        """Nothing: whoever shares the folder sees the file."""
