"""What every backend can do, and how one is named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

import torch

from gradaudit.registry import Registry, Spec
from gradaudit.training.store import Store

BackendLike = str | Mapping[str, Any] | Spec


class Backend(Protocol):
    """Runs many calls of a function at once, on one device and with one store."""

    def slots(self) -> int:
        """How many calls run at once unless the user says."""

    def run(self, function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]], workers: int) -> Iterator[Any]:
        """What the function returns for each task, as they finish; tasks are taken one by one as workers become free.

        An error of the function's is raised at once, and tasks that have not begun are dropped. A task whose worker is killed is
        repeated; `WorkerError` where that does not help.
        """


BACKENDS = Registry("gradaudit.training.backends", "backend")


def resolve_backend(backend: BackendLike, store: Store, device: torch.device) -> Backend:
    """The backend that is meant, which has shown that it can do its work.

    Args:
        backend: `"local"`, `"ray(address='auto', gpus=0.25)"`, or a user's `"package.module:function"`; a function
            `(store, device, *, options) -> Backend`.
        store: that the calls use.
        device: that they compute on.

    Raises:
        InputError: there is no such backend, or its machines can't be reached, don't see the store, or lack the device.
        MissingExtraError: its package is not installed.
    """
    found: Backend = BACKENDS.bind("backend", backend)(store, device)
    return found
