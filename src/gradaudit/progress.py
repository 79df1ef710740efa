"""Progress with the time left, on standard error or in a notebook; silent where nobody watches."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from markupsafe import Markup

from gradaudit.notebooks import kernel


class Advance(Protocol):
    """Called with the number of steps that were done, and optionally a word on how it goes."""

    def __call__(self, steps: float = 1, note: str = "") -> None:
        """Count `steps` more as done."""


@contextmanager
def progress(title: str, total: float, show: bool = True) -> Iterator[Advance]:
    """A progress bar over `total` steps: a live line on a terminal or in a notebook, one line each ten seconds elsewhere."""
    if not show or sys.stderr is None:  # none in a process without a console
        yield lambda steps=1, note="": None
    elif kernel() is not None:
        yield _shown(title, total)
    elif _on_terminal():
        yield from _live(title, total)
    else:
        yield _lines(title, total)


def tell(text: str) -> None:
    """A line, with rich's marks, to standard error; in a notebook plain, to its output, which no colour calls an error."""
    if kernel() is not None:
        from rich.text import Text

        print(Text.from_markup(text).plain)
    else:
        from rich.console import Console

        Console(stderr=True).print(text, highlight=False)


def _on_terminal() -> bool:
    """Whether standard error is a terminal on which a line can be written anew."""
    return not sys.stderr.closed and sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


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


class _Bar:
    """A bar as a notebook shows it: HTML, or one line where that is not shown, as in an exported text."""

    def __init__(self, words: str, done: float, total: float) -> None:
        self.words, self.done, self.total = words, done, total

    def __repr__(self) -> str:
        return self.words

    def _repr_html_(self) -> str:
        return Markup('<progress max="{}" value="{}"></progress> {}').format(self.total, self.done, self.words)


def _shown(title: str, total: float) -> Advance:
    from IPython.display import display

    start = last = time.monotonic()
    done = 0.0
    shown = display(_Bar(title, done, total), display_id=True)

    def advance(steps: float = 1, note: str = "") -> None:
        nonlocal done, last
        done += steps
        now = time.monotonic()
        if now - last >= 0.25 or done >= total:
            last = now
            shown.update(_Bar(_spell(title, done, total, now - start, note), done, total))

    return advance


def _lines(title: str, total: float) -> Advance:
    start = last = time.monotonic()
    done = 0.0

    def advance(steps: float = 1, note: str = "") -> None:
        nonlocal done, last
        done += steps
        now = time.monotonic()
        if now - last >= 10 or (done >= total and now - start >= 10):
            last = now
            with suppress(ValueError):  # closed meanwhile
                print(_spell(title, done, total, now - start, note), file=sys.stderr)

    return advance


def _spell(title: str, done: float, total: float, seconds: float, note: str) -> str:
    left = seconds / done * (total - done) if done else float("nan")
    said = [f"{title}: {done:g}/{total:g}", f"{duration(seconds)} spent", f"{duration(left)} left" if done < total else "", note]
    return ", ".join(filter(None, said))


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
