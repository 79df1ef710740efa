"""Progress with the time left, on standard error; silent where nobody watches."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Advance(Protocol):
    """Called with the number of steps that were done, and optionally a word on how it goes."""

    def __call__(self, steps: float = 1, note: str = "") -> None:
        """Count `steps` more as done."""


@contextmanager
def progress(title: str, total: float, show: bool = True) -> Iterator[Advance]:
    """A progress bar over `total` steps: a live line on a terminal, one line each ten seconds elsewhere."""
    if not show:
        yield lambda steps=1, note="": None
    elif sys.stderr.isatty():
        yield from _live(title, total)
    else:
        yield _lines(title, total)


def _live(title: str, total: float) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, note="")

        def advance(steps: float = 1, note: str = "") -> None:
            bar.update(task, advance=steps)
            if note:
                bar.update(task, note=note)

        yield advance


def _lines(title: str, total: float) -> Advance:
    start = last = time.monotonic()
    done = 0.0

    def advance(steps: float = 1, note: str = "") -> None:
        nonlocal done, last
        done += steps
        now = time.monotonic()
        if now - last >= 10 or (done >= total and now - start >= 10):
            last = now
            left = (now - start) / done * (total - done) if done else float("nan")
            times = f"{duration(now - start)} spent, {duration(left)} left"
            print(f"{title}: {done:g}/{total:g}, {times} {note}".rstrip(), file=sys.stderr)

    return advance


def duration(seconds: float) -> str:
    """Seconds as people say them: `"42 s"`, `"3 min 20 s"`, `"2 h 5 min"`."""
    if seconds != seconds:
        return "unknown"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
