"""What a report wrote to its folder, so that the next one there takes away what would be left of it, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from gradaudit.files import write_text

MANIFEST = "manifest.json"


def renew(folder: Path, written: Iterable[Path]) -> None:
    """Remove what an earlier report wrote to the folder and this one did not; note what this one wrote.

    A file that was changed since, or that no report wrote, stays, and so does its folder.

    Raises:
        StoreError: the note can't be written.
    """
    names = {path.relative_to(folder).as_posix(): _digest(path) for path in written}
    for name, digest in _noted(folder).items():
        if name not in names:
            _remove(folder, name, digest)
    write_text(folder / MANIFEST, json.dumps({"files": names}, indent=1) + "\n")


def _noted(folder: Path) -> dict[str, str]:
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        return {str(name): str(digest) for name, digest in found.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):  # none, or none of ours
        return {}


def _remove(folder: Path, name: str, digest: str) -> None:
    root = folder.resolve()
    path = root / name
    with suppress(OSError):  # gone already, or not ours to remove
        if path.resolve() != path or root not in path.parents or _digest(path) != digest:
            return
        path.unlink()
        for parent in path.parents[: len(path.relative_to(root).parts) - 1]:
            parent.rmdir()  # fails, and ends this, where something is left in it


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
