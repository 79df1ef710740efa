"""Long benchmarks in parts: each is kept when it is done, with the processor time that it took, and a stopped run goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from gradaudit.devices import one_thread
from gradaudit.files import write_text

SECONDS, WALL = "processor_seconds", "wall_seconds"


def part(folder: Path, name: str, rows: Callable[[], Iterable[Mapping[str, Any]]]) -> pd.DataFrame:
    """The rows of a part, from its file or made now on one thread; each has what the whole part took."""
    path = folder / "out" / f"{name}.csv"
    if not is_there(folder, name):
        before, start = time.process_time(), time.perf_counter()
        with one_thread():
            made = pd.DataFrame(list(rows()))
        took = {SECONDS: time.process_time() - before, WALL: time.perf_counter() - start}
        write_text(path, made.assign(**took).to_csv(index=False))
        print(f"{name}: {took[SECONDS]:.0f} s of processor time", flush=True)
    return pd.read_csv(path)


def is_there(folder: Path, name: str) -> bool:
    """Whether the part was made."""
    return (folder / "out" / f"{name}.csv").exists()


def seconds(folder: Path, column: str = WALL) -> float:
    """What all parts took together."""
    return sum(float(pd.read_csv(path)[column].iloc[0]) for path in (folder / "out").glob("*.csv"))
