"""Workers of this machine, through joblib's loky."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import joblib
import torch

from gradaudit.errors import require
from gradaudit.training.backends._backend import Backend
from gradaudit.training.store import Store


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

        Raises:
            InputError: several, with a store that only this process sees.
        """
        require(workers == 1 or not self.store.private, "workers", workers, f"1 with the store {self.store.place}")
        shared = {"inner_max_num_threads": 1, "temp_folder": str(self.store.folder)} if workers > 1 else {}
        with joblib.parallel_config("loky" if workers > 1 else "sequential", **shared):
            parallel = joblib.Parallel(n_jobs=workers, return_as="generator_unordered", mmap_mode="c", max_nbytes="100K")
            yield from parallel(joblib.delayed(function)(*task) for task in tasks)
