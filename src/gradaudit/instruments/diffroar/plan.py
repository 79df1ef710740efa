"""What a DiffROAR run is going to do, and how long that takes: predicted by a few steps."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import torch

from gradaudit.devices import one_thread, seeded
from gradaudit.instruments.costs import of_workers
from gradaudit.instruments.crew import Crew
from gradaudit.instruments.diffroar.cells import Cell, by_key, lacking_images, logits_of
from gradaudit.instruments.diffroar.filled_images import FilledImages, chunks
from gradaudit.progress import duration
from gradaudit.training.sizing import bytes_of_training
from gradaudit.training.timing import seconds_a_step

EVALUATED = 1024  # images on which the time of an evaluation is measured


@dataclass(frozen=True)
class Plan:
    """What a run is going to do.

    Args:
        networks: how many learners the result rests on.
        stored: how many of these the store already has.
        seconds: predicted time for the others, measured on a few steps, and for filling images.
        workers: how many fits run at once.
        to_fill: how many sets of images are to be filled once and for all before, where the fill is costly.
        pending: the keys of the learners that the store lacks.
        reading: what of the seconds goes to reading, which evaluators do however many of them are stored.
        memory: bytes at the peak beside what this process holds, of all workers together.
    """

    networks: int
    stored: int
    seconds: float
    workers: int
    to_fill: int = 0
    pending: frozenset[str] = frozenset()
    reading: float = 0.0
    memory: float = 0.0

    def __str__(self) -> str:
        if self.stored == self.networks:
            return f"{self.networks:,} networks, all in the store: nothing to train"
        stored = f" ({self.stored:,} already in the store)" if self.stored else ""
        workers = "1 worker" if self.workers == 1 else f"{self.workers} workers"
        filling = f", and {self.to_fill:,} sets of images to fill before" if self.to_fill else ""
        return f"{self.networks:,} networks to train{stored} with {workers}{filling}: about {duration(self.seconds)}"


def predict(cells: Mapping[Any, Cell], crew: Crew) -> Plan:
    """How many networks the cells are, how many of them are stored, and how long the others will take."""
    known = by_key(cells)
    pending = {key: cell for key, cell in known.items() if crew.store.get(cell.description) is None}
    to_fill = lacking_images(pending.values(), crew.store)
    # Learners that see more take longer, and so does a fill.
    alike: dict[str, list[Cell]] = {}
    for cell in pending.values():
        alike.setdefault(cell.unmasking.content, []).append(cell)
    fitting = sum(len(found) * seconds_to_fit(found[0], crew.device) for found in alike.values())
    filling = _seconds_to_fill([*to_fill.values()]) if to_fill else 0.0
    seconds = _shared(fitting, len(pending), crew.workers) + _shared(filling, len(to_fill), crew.workers)
    memory = of_workers(max((_bytes_to_fit(found[0], crew.device) for found in alike.values()), default=0.0), crew.workers)
    return Plan(len(known), len(known) - len(pending), seconds, crew.workers, len(to_fill), frozenset(pending), memory=memory)


def _bytes_to_fit(cell: Cell, device: torch.device) -> float:
    """Bytes at the peak of the fit, from one batch forward."""
    if cell.filled:
        cell = cell.seeing(replace(split, filled=True) for split in (cell.train, cell.test))
    with one_thread(), seeded(cell.recipe.seed, device):
        return bytes_of_training(cell.build().to(device), cell.unmasking.draw(cell.train, device), cell.recipe, device)


def seconds_to_fit(cell: Cell, device: torch.device) -> float:
    """Predicted seconds of the fit, from a few steps and the evaluation of some images."""
    if cell.filled:  # images that are not filled yet stand in: no step takes longer or shorter for it
        cell = cell.seeing(replace(split, filled=True) for split in (cell.train, cell.test))
    recipe, few = cell.recipe, min(len(cell.test), EVALUATED)
    with one_thread(), seeded(recipe.seed, device):
        learner = cell.build().to(device)
        a_step = seconds_a_step(learner, cell.unmasking.draw(cell.train, device), len(cell.train), recipe, device=device)
        draw = cell.unmasking.draw(cell.test, device)
        start = time.perf_counter()
        logits_of(learner, draw, few, recipe, device)
        an_image = (time.perf_counter() - start) / few
    return ceil(len(cell.train) / recipe.batch_size) * recipe.epochs * a_step + an_image * len(cell.test)


def _shared(seconds: float, count: int, workers: int) -> float:
    """The time that so many equal pieces of work take the workers, who would take `seconds` one after the other."""
    return seconds * ceil(count / workers) / count if count else 0.0


def _seconds_to_fill(wanted: list[FilledImages]) -> float:
    """Predicted seconds for all of them, one after the other, from one batch of the first."""
    first = wanted[0]
    indices = chunks(first.split.images)[0]
    with one_thread(), torch.no_grad():
        draw = first.unmasking.draw(first.split, first.device)
        start = time.perf_counter()
        draw(indices)
        seconds = time.perf_counter() - start
    return seconds / len(indices) * sum(len(images.split) for images in wanted)
