"""What killed processes leave in a folder: files that were never finished."""

from __future__ import annotations

import functools
import shutil
import time
from pathlib import Path

DAY = 86_400.0


@functools.cache
def sweep(folder: Path) -> None:
    """Remove unfinished files and folders (`.part`) that nobody has written to for a day; looks once a process.

    A file that can't be removed is left: it takes room, and does no harm.
    """
    for part in [*folder.rglob(".*.part")]:
        if _age(part) < DAY:
            continue
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def _age(path: Path) -> float:
    """Seconds since the last write; 0 where it has vanished meanwhile."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
