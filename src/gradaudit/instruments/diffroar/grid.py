"""The grid: every cell of a DiffROAR run, its prediction, and its fits on as many workers as there are."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import joblib
import torch

from gradaudit.classifiers import check_classifier, classifier_fingerprint
from gradaudit.devices import one_thread, seeded
from gradaudit.errors import InputError, require
from gradaudit.images import ImageSet
from gradaudit.instruments.diffroar.cells import Cell, Split, run_cell, unmasking
from gradaudit.progress import duration, progress
from gradaudit.training.fitting import accuracy, fit
from gradaudit.training.recipe import Recipe
from gradaudit.training.store import Store, key_of


@dataclass(frozen=True)
class Plan:
    """What a run is going to do.

    Args:
        networks: how many learners the result rests on.
        stored: how many of these the store already has.
        seconds: predicted time for the others, measured on a few steps of the learner.
        workers: how many fits run at once.
    """

    networks: int
    stored: int
    seconds: float
    workers: int

    def __str__(self) -> str:
        stored = f" ({self.stored:,} already in the store)" if self.stored else ""
        workers = "1 worker" if self.workers == 1 else f"{self.workers} workers"
        if self.stored == self.networks:
            return f"{self.networks:,} networks, all in the store: nothing to train"
        return f"{self.networks:,} networks to train{stored} with {workers}: about {duration(self.seconds)}"


@dataclass(frozen=True)
class Job:
    """A cell with its data and its key in the store."""

    cell: Cell
    train: Split
    test: Split
    description: dict[str, Any]


def run_jobs(
    jobs: Mapping[Any, Job], classes: int, store: Store, *, device: torch.device, workers: int, show_progress: bool
) -> dict[Any, dict[str, Any]]:
    """The outcome of every job; finished ones come from the store, the others are fitted and kept there.

    Raises:
        StoreError: an outcome can't be written; what was finished before is kept.
        TrainingError: a learner's loss is no longer finite.
    """
    by_key = {key_of(job.description): job for job in jobs.values()}  # equal rankings share their fits
    outcomes = {key: store.get(job.description) for key, job in by_key.items()}
    pending = [key for key, outcome in outcomes.items() if outcome is None]
    # In an order of this process's own: two processes on one store then seldom fit the same cell.
    random.Random(os.getpid()).shuffle(pending)
    tasks = (_task(key, by_key[key], classes, store, str(device)) for key in pending)
    workers = max(1, min(workers, len(pending)))
    with (
        progress("fitting learners", len(pending), show_progress and bool(pending)) as advance,
        joblib.parallel_config("sequential" if workers == 1 else "loky", **_backend_options(workers, store)),
    ):
        parallel = joblib.Parallel(n_jobs=workers, return_as="generator_unordered", mmap_mode="c", max_nbytes="100K")
        for key, outcome in parallel(tasks):
            outcomes[key] = outcome
            advance(1)
    found = {key: outcome for key, outcome in outcomes.items() if outcome is not None}
    return {name: found[key_of(job.description)] for name, job in jobs.items()}


def predict(jobs: Mapping[Any, Job], classes: int, store: Store, *, device: torch.device, workers: int) -> Plan:
    """How many networks, how many of them are stored, and how long the others will take."""
    by_key = {key_of(job.description): job for job in jobs.values()}
    pending = [job for job in by_key.values() if store.get(job.description) is None]
    seconds = seconds_to_fit(pending[-1], classes, device) if pending else 0.0
    rounds = ceil(len(pending) / workers)
    return Plan(len(by_key), len(by_key) - len(pending), seconds * rounds, workers)


def seconds_to_fit(job: Job, classes: int, device: torch.device, steps: int = 8) -> float:
    """Predicted seconds of one fit, from a few steps of it."""
    recipe = job.cell.recipe
    count, tested = len(job.train.labels), len(job.test.labels)
    few = min(count, steps * recipe.batch_size)
    short = recipe.with_(epochs=1)
    with one_thread(), seeded(recipe.seed, device):
        learner = recipe.build(tuple(job.train.images.shape[1:]), classes).to(device)
        draw = unmasking(job.cell, job.train, device)
        fit(learner, draw, min(few, 2 * recipe.batch_size), short, device=device)  # the first steps are slow
        start = time.perf_counter()
        fit(learner, draw, few, short, device=device)
        a_step = (time.perf_counter() - start) / ceil(few / recipe.batch_size)
        start = time.perf_counter()
        accuracy(learner, draw, few, recipe, device=device)
        an_image = (time.perf_counter() - start) / few
    return a_step * ceil(count / recipe.batch_size) * recipe.epochs + an_image * tested


def resolve_workers(workers: int | str, device: torch.device) -> int:
    """The number of fits at once: for `"auto"` one for each physical core, or one on an accelerator.

    Raises:
        InputError: neither `"auto"` nor a whole number above 0.
    """
    if workers == "auto":
        return joblib.cpu_count(only_physical_cores=True) if device.type == "cpu" else 1
    require(isinstance(workers, int) and not isinstance(workers, bool) and workers >= 1, "workers", workers, '"auto" or 1 or more')
    return int(workers)


def check_recipe(learner: Any, images: ImageSet, argument: str = "learner") -> tuple[Recipe, str]:
    """The recipe given, or the default one with the network given; and the fingerprint of the network that it builds.

    A user's own network may change under the same name: the fingerprint tells its fits in the store apart.

    Raises:
        InputError: neither a recipe nor the spec of a network, or a network that can't take these images.
    """
    try:
        recipe = learner if isinstance(learner, Recipe) else Recipe(network=learner)
        with seeded(recipe.seed):
            network = recipe.build(images.shape, len(images.classes))
    except InputError as error:
        raise InputError(argument, learner, f"a Recipe or a network, for images of {images.shape} ({error})") from None
    check_classifier(network, images, argument)
    return recipe, classifier_fingerprint(network)


def _task(key: str, job: Job, classes: int, store: Store, device: str) -> Any:
    return joblib.delayed(_run)(key, job.cell, job.train, job.test, classes, job.description, store, device)


def _run(key: str, *arguments: Any) -> tuple[str, dict[str, Any]]:
    return key, run_cell(*arguments)


def _backend_options(workers: int, store: Store) -> dict[str, Any]:
    if workers == 1:
        return {}
    return {"inner_max_num_threads": 1, "temp_folder": str(store.folder)}
