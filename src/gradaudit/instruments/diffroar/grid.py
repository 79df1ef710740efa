"""The grid: every cell of a DiffROAR run, its prediction, and its fits on as many workers as there are."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, TypeVar

import torch

from gradaudit.classifiers import classifier_fingerprint
from gradaudit.devices import one_thread, seeded
from gradaudit.errors import InputError, first_line
from gradaudit.evaluator import build_with_mask
from gradaudit.images import ImageSet
from gradaudit.instruments.diffroar.cells import build_learner, found_in, run_cells, unmasking
from gradaudit.instruments.diffroar.fillings import Filling, chunks, make_filling
from gradaudit.instruments.diffroar.groups import Job, Together, members, standing_in
from gradaudit.progress import duration
from gradaudit.training.backends import Backend
from gradaudit.training.backends.local import local
from gradaudit.training.fitting import accuracy
from gradaudit.training.recipe import Recipe
from gradaudit.training.store import Store, key_of
from gradaudit.training.together import ONE_BY_ONE, Choice, steps_a_second
from gradaudit.training.workers import run_all

T = TypeVar("T")

EVALUATED = 1024  # images on which the time of an evaluation is measured


@dataclass(frozen=True)
class Plan:
    """What a run is going to do.

    Args:
        networks: how many learners the result rests on.
        stored: how many of these the store already has.
        seconds: predicted time for the others, measured on a few steps of a learner of each kind, and for the fillings.
        workers: how many fits, or groups of fits that train together, run at once.
        fillings: how many sets of images are to be filled once and for all before, where the fill is costly.
        choices: how the fits of each kind are trained, where not simply one by one.
        pending: the keys of the learners that the store lacks.
        reading: what of the seconds goes to reading, which evaluators do however many of them are stored.
    """

    networks: int
    stored: int
    seconds: float
    workers: int
    fillings: int = 0
    choices: tuple[str, ...] = ()
    pending: frozenset[str] = frozenset()
    reading: float = 0.0

    def __str__(self) -> str:
        stored = f" ({self.stored:,} already in the store)" if self.stored else ""
        workers = "1 worker" if self.workers == 1 else f"{self.workers} workers"
        filling = f", and {self.fillings:,} sets of images to fill before" if self.fillings else ""
        if self.stored == self.networks:
            return f"{self.networks:,} networks, all in the store: nothing to train"
        together = "".join(f", {choice}" for choice in self.choices)
        return f"{self.networks:,} networks to train{stored} with {workers}{together}{filling}: about {duration(self.seconds)}"


def run_jobs(
    jobs: Mapping[Any, Job], store: Store, together: Together, *, backend: Backend | None = None, show_progress: bool = False
) -> dict[Any, dict[str, Any]]:
    """The outcome of every job; finished ones come from the store, the others are fitted and kept there.

    Args:
        jobs: fits by any name.
        store: of finished work.
        together: how, where and how many at once they are fitted.
        backend: where groups run; this machine unless given.
        show_progress: show the time left on standard error.

    Raises:
        StoreError: an outcome can't be written; what was finished before is kept.
        TrainingError: a learner's loss is no longer finite.
    """
    by_key = _by_key(jobs)
    outcomes = {key: found_in(store, job.description, together.accepted) for key, job in by_key.items()}
    pending = _shuffled(key for key, outcome in outcomes.items() if outcome is None)
    missing = _missing([by_key[key] for key in pending], store)
    crew = backend or local(store, together.device)
    how: dict[str, Any] = {"backend": crew, "workers": together.workers, "show_progress": show_progress}
    fillings = ((missing[key], store) for key in _shuffled(missing))
    for _ in run_all(make_filling, fillings, len(missing), title="filling images", **how):
        pass
    groups = _shuffled(together.groups({key: by_key[key] for key in pending}))
    tasks = (_task([by_key[key] for key in keys], choice, store, together) for choice, keys in groups)
    title = "fitting learners" if len(groups) == len(pending) else "fitting groups of learners"
    for ended in run_all(_run, tasks, len(groups), title=title, **how):
        outcomes.update(ended)
    found = {key: outcome for key, outcome in outcomes.items() if outcome is not None}
    return {name: found[key_of(job.description)] for name, job in jobs.items()}


def predict(jobs: Mapping[Any, Job], store: Store, together: Together) -> Plan:
    """How many networks, how many of them are stored, and how long the others will take; arguments as `run_jobs` has them."""
    by_key = _by_key(jobs)
    pending = {key: job for key, job in by_key.items() if found_in(store, job.description, together.accepted) is None}
    missing = _missing(pending.values(), store)
    groups = together.groups(pending)
    alike: dict[tuple[Any, ...], list[tuple[Choice, Job]]] = {}
    for choice, keys in groups:
        for key in keys:
            alike.setdefault((pending[key].kind, pending[key].cell.content), []).append((choice, pending[key]))
    # Learners that see more take longer, and so does a fill.
    where = together.classes, together.device
    fitting = sum(len(found) * seconds_to_fit([job for _, job in found], found[0][0], *where) for found in alike.values())
    filling = _seconds_to_fill([*missing.values()]) if missing else 0.0
    rounds = (ceil(count / together.workers) / count if count else 0.0 for count in (len(groups), len(missing)))
    seconds = sum(time * share for time, share in zip((fitting, filling), rounds, strict=True))
    choices = dict.fromkeys(str(choice) for choice, _ in groups if choice.way != ONE_BY_ONE or choice.why_not)
    stored = len(by_key) - len(pending)
    return Plan(len(by_key), stored, seconds, together.workers, len(missing), tuple(choices), frozenset(pending))


def seconds_to_fit(jobs: Sequence[Job], choice: Choice, classes: int, device: torch.device) -> float:
    """Predicted seconds of one of these fits, trained as chosen, from a few steps."""
    first = standing_in(jobs[0])
    recipe, count = first.cell.recipe, len(first.train.labels)
    few = min(count, EVALUATED)
    with one_thread():
        rate = steps_a_second(choice.way, members(jobs[: choice.at_once], classes, device), count, recipe, device)
        with seeded(recipe.seed, device):
            learner = build_learner(first.cell, first.train, classes).to(device)
            draw = unmasking(first.cell, first.train, device)
            start = time.perf_counter()
            accuracy(learner, draw, few, recipe, device=device)
            an_image = (time.perf_counter() - start) / few
    return ceil(count / recipe.batch_size) * recipe.epochs / rate + an_image * len(first.test.labels)


def check_learner_of_both(recipe: Recipe, images: ImageSet, mask_channels: int) -> str:
    """The fingerprint of the recipe's network for these images with a mask as further channels.

    Raises:
        InputError: the network can't take these.
    """
    channels, height, width = images.shape
    seen = torch.zeros(2, channels + mask_channels, height, width)
    try:
        with seeded(recipe.seed), torch.no_grad():
            network = build_with_mask(recipe, images.shape, mask_channels, len(images.classes)).eval()
            network(seen)
    except Exception as error:  # a user's module may raise anything
        expected = (
            f"one for any number of channels, such as the {seen.shape[1]} of an image with its mask; or give conditional=False"
            f" ({type(error).__name__}: {first_line(error)})"
        )
        raise InputError("learner", recipe.network, expected) from error
    return classifier_fingerprint(network)


def _by_key(jobs: Mapping[Any, Job]) -> dict[str, Job]:
    return {key_of(job.description): job for job in jobs.values()}  # equal rankings share their fits


def _shuffled(work: Iterable[T]) -> list[T]:
    """In an order of this process's own: two processes or machines on one store then seldom do the same work."""
    found = list(work)
    random.SystemRandom().shuffle(found)
    return found


def _missing(jobs: Iterable[Job], store: Store) -> dict[str, Filling]:
    """The fillings that these jobs need and the store lacks, by key."""
    needed = {filling.key: filling for job in jobs for filling in job.fillings}
    return {key: filling for key, filling in needed.items() if filling.read(store) is None}


def _seconds_to_fill(fillings: list[Filling]) -> float:
    """Predicted seconds for all fillings, one after the other, from one batch of the first."""
    first = fillings[0]
    indices = chunks(len(first.split.images), first.split.images[0].size)[0]
    with one_thread(), torch.no_grad():
        draw = unmasking(first.cell, first.split, first.device)
        start = time.perf_counter()
        draw(indices)
        seconds = time.perf_counter() - start
    return seconds / len(indices) * sum(len(filling.split.images) for filling in fillings)


def _task(jobs: Sequence[Job], choice: Choice, store: Store, together: Together) -> tuple[Any, ...]:
    ways = tuple(dict.fromkeys((choice.way, *together.accepted)))
    return [_filled(job, store) for job in jobs], together.classes, store, str(together.device), ways


def _filled(job: Job, store: Store) -> Job:
    if not job.fillings:
        return job
    splits = [filling.read(store) for filling in job.fillings]
    return job.filled(split for split in splits if split is not None)


def _run(jobs: Sequence[Job], classes: int, store: Store, device: str, ways: Sequence[str]) -> dict[str, dict[str, Any]]:
    descriptions = [job.description for job in jobs]
    splits = [(job.train, job.test) for job in jobs]
    found = run_cells([job.cell for job in jobs], splits, classes, descriptions, store, device, ways)
    return {key_of(description): outcome for description, outcome in zip(descriptions, found, strict=True)}
