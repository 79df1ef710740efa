"""Errors about what a file holds, which name the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gradaudit.errors import InputError, first_line
from gradaudit.images import ImageSet


@contextmanager
def reading(file: Path, expected: str) -> Iterator[None]:
    """Turn whatever a decoder raises inside into an `InputError` that names the file and what it was expected to be."""
    try:
        yield
    # Decoders of foreign formats raise nearly anything on damaged bytes: struct.error, IndexError, zlib.error, SyntaxError...
    except Exception as error:
        if isinstance(error, InputError) and error.argument == "file":
            raise
        raise InputError("file", str(file), f"{expected} ({first_line(error)})") from error


def image_set(file: Path, images: Any, labels: Any, classes: tuple[str, ...], signal_mask: Any = None) -> ImageSet:
    """The ImageSet of what was read from `file`.

    Raises:
        InputError: they are no image set; names the file.
    """
    try:
        return ImageSet(images, labels, classes, signal_mask)
    except InputError as error:
        raise InputError("file", str(file), f"a file of sound images and labels: {error}") from error
