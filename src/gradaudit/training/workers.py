"""Many fits at once, on this machine or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from gradaudit.errors import is_whole, require
from gradaudit.memory import limited
from gradaudit.progress import progress
from gradaudit.training.backends import Backend

R = TypeVar("R")


def resolve_workers(workers: Any, backend: Backend) -> int:
    """The number of fits at once; for `"auto"` what the backend has room for.

    Raises:
        InputError: neither `"auto"` nor a whole number above 0.
    """
    if workers == "auto":
        return backend.slots()
    require(is_whole(workers) and workers >= 1, "workers", workers, '"auto" or 1 or more')
    return int(workers)


def run_all(
    function: Callable[..., R],
    tasks: Iterable[tuple[Any, ...]],
    count: int,
    *,
    backend: Backend,
    workers: int,
    title: str,
    show_progress: bool,
    note: Callable[[R], str] = lambda returned: "",
) -> Iterator[R]:
    """What the function returns for each task, as they finish: in order with one local worker, else in any order.

    Args:
        function: importable by workers; one thread each where there are several, and the memory that holds here.
        tasks: its arguments for each call; taken one by one as workers become free.
        count: how many tasks there are; no more workers than that are started.
        backend: where the calls run.
        workers: calls at once; locally 1 stays in this process.
        title: of the progress bar.
        show_progress: whether there is one.
        note: what it says once a task is finished.

    Raises:
        WorkerError: a worker was killed again and again at the same work.
        Exception: whatever the function raises; tasks that have not begun are dropped.
    """
    if count < 1:
        return
    with progress(title, count, show_progress) as advance:
        for returned in backend.run(limited(function), tasks, min(workers, count)):
            yield returned
            advance(1, note(returned))
