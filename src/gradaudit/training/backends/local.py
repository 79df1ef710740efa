"""Workers of this machine, through joblib's loky."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import joblib
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError

from gradaudit.errors import WorkerError, require
from gradaudit.training.backends._backend import Backend
from gradaudit.training.store import Store

# An interrupt of a notebook or a terminal reaches workers too; this process, which ends them, is the one to tell of it.
DEAF = {"initializer": signal.signal, "initargs": (signal.SIGINT, signal.SIG_IGN)}


def local(store: Store, device: torch.device) -> Backend:
    """Processes of this machine, one thread each, that share memory-mapped arrays; one worker is this process.

    Args:
        store: in whose folder the arrays lie that workers share.
        device: that calls compute on.
    """
    return Local(store, device)


@dataclass(frozen=True)
class Local:
    """See `local`."""

    store: Store
    device: torch.device

    def slots(self) -> int:
        """One call a physical core; one on an accelerator, or with a store that no other process sees."""
        return joblib.cpu_count(only_physical_cores=True) if self.device.type == "cpu" and not self.store.private else 1

    def run(self, function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]], workers: int) -> Iterator[Any]:
        """In order with one worker, in any order with several.

        Where the system kills a worker, what was being done is done once more.

        Raises:
            InputError: several, with a store that only this process sees.
            WorkerError: a worker was killed a second time at the same work.

        Warns:
            UserWarning: a worker was killed the first time.
        """
        require(workers == 1 or not self.store.private, "workers", workers, f"1 with the store {self.store.place}")
        shared = {"inner_max_num_threads": 1, "temp_folder": str(self.store.folder), **DEAF} if workers > 1 else {}
        work = _Work(tasks)
        with joblib.parallel_config("loky" if workers > 1 else "sequential", **shared):
            while True:
                parallel = joblib.Parallel(n_jobs=workers, return_as="generator_unordered", mmap_mode="c", max_nbytes="100K")
                running = None
                try:
                    running = parallel(joblib.delayed(_numbered)(place, function, task) for place, task in work)
                    for place, returned in running:
                        work.done(place)
                        yield returned
                    return
                except TerminatedWorkerError as error:
                    work.again(error)
                finally:
                    _end(running)


def _end(running: Generator[Any] | None) -> None:
    """End joblib's generator, and its workers with what they do, wherever an interrupt came; a traceback would keep it alive."""
    if running is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it tells of tasks that are cancelled, as they shall be
            running.close()


class _Work:
    """Tasks that are handed out by their place; those of killed workers are handed out a second time."""

    def __init__(self, tasks: Iterable[tuple[Any, ...]]) -> None:
        self.left = enumerate(tasks)
        self.begun: dict[int, tuple[Any, ...]] = {}
        self.repeated: set[int] = set()
        self.finished = 0

    def __iter__(self) -> Iterator[tuple[int, tuple[Any, ...]]]:
        for place, task in chain([*self.begun.items()], self.left):
            self.begun[place] = task
            yield place, task

    def done(self, place: int) -> None:
        del self.begun[place]
        self.finished += 1

    def again(self, error: Exception) -> None:
        """Make ready to hand out once more what had begun.

        Raises:
            WorkerError: some of it was handed out a second time already.
        """
        if self.repeated & self.begun.keys():
            kept = f"the {self.finished} pieces of work that were finished are kept, and the same call continues"
            why = "as the system does when memory runs out; fewer workers take less"
            raise WorkerError(f"a worker was killed twice at the same work, {why}: {kept}") from error
        warnings.warn("a worker was killed, perhaps because memory ran out; its work is done once more", stacklevel=3)
        self.repeated |= self.begun.keys()


def _numbered(place: int, function: Callable[..., Any], task: tuple[Any, ...]) -> tuple[int, Any]:
    return place, function(*task)
