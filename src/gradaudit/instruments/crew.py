"""How the fits of a checked run are done, and what its result says of its images: what instruments that fit a grid share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from gradaudit.devices import resolve_device
from gradaudit.images import ImageSet, shared_images
from gradaudit.instruments.run_options import WorkerOptions
from gradaudit.training.backends import Backend, resolve_backend
from gradaudit.training.store import Store, as_store
from gradaudit.training.workers import resolve_workers


@dataclass(frozen=True, eq=False)
class Crew:
    """Who does the fits, and where.

    Args:
        store: where finished work is kept.
        workers: fits at once.
        backend: where they run.
        device: on what they are computed.
        show_progress: whether the time left is printed to standard error.
        memory: bytes that a batch may take; None where nobody says.
    """

    store: Store
    workers: int
    backend: Backend
    device: torch.device
    show_progress: bool
    memory: int | str | None = None

    @property
    def words(self) -> dict[str, Any]:
        """The keyword arguments of `run_all` but for the title."""
        return {"backend": self.backend, "workers": self.workers, "show_progress": self.show_progress}


def crew_of(options: WorkerOptions) -> Crew:
    """The crew that the options ask for.

    Raises:
        InputError: there is none such; names `store`, `device`, `backend` or `workers`.
    """
    store, device = as_store(options.store), resolve_device(options.device)
    backend = resolve_backend(options.backend, store, device)
    return Crew(store, resolve_workers(options.workers, backend), backend, device, options.show_progress, options.memory)


def settings_of_images(train: ImageSet, test: ImageSet) -> dict[str, Any]:
    """What a result says of the images that it is about."""
    return {
        "classes": list(train.classes),
        "shape": list(train.shape),
        "train_images": len(train),
        "test_images": len(test),
        "shared_images": shared_images(train, test),
        "train_fingerprint": train.fingerprint,
        "test_fingerprint": test.fingerprint,
    }
