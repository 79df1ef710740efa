"""Image files that can't be taken: found all at once, named by kind, refused or left out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Literal

from gradaudit.errors import InputError, first_line

OnError = Literal["raise", "skip"]

LFS = b"version https://git-lfs"
NAMED = 10  # files of a kind that a message lists
SHOWN = 100  # letters of what a decoder says

DAMAGED = "damaged, or of no known format"
DEEP = "of more than 8 bits a channel, to be converted first, since only you know their range"
EMPTY = "empty"
POINTER = "pointers of Git LFS, whose files `git lfs pull` fetches"
NO_FILE = "no regular files: pipes, or links that lead nowhere"
CLOSED = "that the system does not open"


@dataclass(frozen=True)
class Flaw:
    """What keeps an image file from being taken: one of the kinds above, and what the decoder said."""

    kind: str
    reason: str


def flaw(file: Path, error: InputError) -> Flaw:
    """The flaw for which `read_picture` refused the file."""
    cause = error.__cause__
    if not file.is_file():
        return Flaw(NO_FILE, "")
    if isinstance(cause, InputError):
        return Flaw(DEEP, "")
    if is_pointer(file):
        return Flaw(POINTER, "")
    if not file.stat().st_size:
        return Flaw(EMPTY, "")
    reason = first_line(cause or error).replace(f" {str(file)!r}", "")[:SHOWN]
    return Flaw(CLOSED if isinstance(cause, OSError) and cause.errno else DAMAGED, reason)


def is_pointer(file: Path) -> bool:
    """Whether it only says where Git LFS keeps the file that was meant."""
    try:
        with file.open("rb") as opened:
            return opened.read(len(LFS)) == LFS
    except OSError:
        return False


def report(folder: Path, flaws: Mapping[Path, Flaw], count: int, on_error: OnError) -> None:
    """Say which of `count` image files in `folder` can't be taken, if there are any.

    Raises:
        InputError: `on_error` is `"raise"`.

    Warns:
        UserWarning: it is `"skip"`.
    """
    if not flaws:
        return
    told = "; ".join(_told(folder, kind, flaws) for kind in sorted({one.kind for one in flaws.values()}))
    if on_error == "skip":
        warnings.warn(f"{len(flaws):,} of {count:,} image files in {folder} were left out: {told}", stacklevel=2)
        return
    expected = f"a folder of intact image files of 8 bits a channel; {len(flaws):,} of {count:,} are not: {told}"
    raise InputError("folder", str(folder), f'{expected}. on_error="skip" (or --on-error skip) leaves them out')


def _told(folder: Path, kind: str, flaws: Mapping[Path, Flaw]) -> str:
    names = [_named(file.relative_to(folder), one) for file, one in sorted(flaws.items(), key=itemgetter(0)) if one.kind == kind]
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"{len(names):,} {kind}: {', '.join(names[:NAMED])}{more}"


def _named(file: Path, one: Flaw) -> str:
    return f"{file} ({one.reason})" if one.reason else str(file)
