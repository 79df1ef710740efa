"""Cells of the grid: each is one learner fitted on unmasked images, and what it knows of the test images' labels."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.devices import one_thread, seeded
from gradaudit.errors import TrainingError
from gradaudit.evaluator import build_with_mask
from gradaudit.evaluator.training import VERSIONS
from gradaudit.instruments.crew import Crew
from gradaudit.instruments.diffroar.filled_images import FilledImages, fill_images
from gradaudit.instruments.diffroar.unmasking import Split, Unmasking
from gradaudit.training.fitting import Draw, autocast, fit
from gradaudit.training.recipe import Recipe
from gradaudit.training.store import Store, key_of, packed
from gradaudit.training.workers import run_all
from gradaudit.usable_information import calibrated_bits, label_prior, packed_bits

T = TypeVar("T")

BATCH = 512  # test images that a learner sees at once
MEASURED = ["correct", "bits 2"]  # outcomes that lack one of them, or measured it otherwise, are not used


@dataclass(frozen=True)
class Cell:
    """One fit.

    Args:
        unmasking: what the learner sees.
        recipe: the learner, with this cell's seed.
        train: the images that it is fitted on.
        test: those that it is measured on.
        classes: how many there are.
        description: the store's key of the outcome; see `describe`.
        filled: where the fill is costly, the training and the test images as it fills them.
    """

    unmasking: Unmasking
    recipe: Recipe
    train: Split
    test: Split
    classes: int
    description: dict[str, Any]
    filled: tuple[FilledImages, ...] = ()

    def seeing(self, splits: Iterable[Split]) -> Cell:
        """The same cell on images that come filled, so that no worker needs the fill."""
        train, test = splits
        return replace(self, unmasking=replace(self.unmasking, fill=None), train=train, test=test, filled=())

    def build(self) -> nn.Module:
        """The untrained learner; its weights are drawn from the caller's random state.

        Raises:
            InputError: the recipe's network can't take what is seen.
        """
        channels, height, width = self.train.images.shape[1:]
        if self.unmasking.content != "both":
            return self.recipe.build((channels, height, width), self.classes)
        return build_with_mask(self.recipe, (channels, height, width), self.train.mask_channels, self.classes)


def describe(unmasking: Unmasking, recipe: Recipe, data: Sequence[str], device: torch.device) -> dict[str, Any]:
    """The store's key of a fit on data, and by a network, with these fingerprints."""
    cell = {"content": unmasking.content, "recipe": recipe.key(device), **unmasking.describe()}
    return {"what": "fits", "measured": MEASURED, "cell": cell, "data": list(data), "device": device.type, **VERSIONS}


def run_cells(cells: Mapping[Any, Cell], crew: Crew) -> dict[Any, dict[str, Any]]:
    """The outcome of every cell by its name; finished ones come from the store, the others are fitted and kept there.

    Raises:
        StoreError: an outcome can't be written; what was finished before is kept.
        TrainingError: as `fit_cell`; what was finished before is kept.
    """
    known = by_key(cells)
    outcomes = {key: crew.store.get(cell.description) for key, cell in known.items()}
    pending = _shuffled(key for key, outcome in outcomes.items() if outcome is None)
    to_fill = lacking_images((known[key] for key in pending), crew.store)
    tasks = ((to_fill[key], crew.store) for key in _shuffled(to_fill))
    for _ in run_all(fill_images, tasks, len(to_fill), title="filling images", **crew.words):
        pass
    fits = ((_filled(known[key], crew.store), crew.store, str(crew.device)) for key in pending)
    outcomes.update(run_all(run_cell, fits, len(pending), title="fitting learners", **crew.words))
    found = {key: outcome for key, outcome in outcomes.items() if outcome is not None}
    return {name: found[key_of(cell.description)] for name, cell in cells.items()}


def run_cell(cell: Cell, store: Store, device: str) -> tuple[str, dict[str, Any]]:
    """The cell's key and outcome: from the store, where another process may have put it meanwhile, or by fitting it."""
    outcome = store.get(cell.description)
    if outcome is None:
        outcome = fit_cell(cell, torch.device(device))
        store.put(cell.description, outcome)
    return key_of(cell.description), outcome


def fit_cell(cell: Cell, device: torch.device) -> dict[str, Any]:
    """What a fresh learner knows of the test images' labels (methods, section 1, step 4), and the seconds that it took.

    Returns:
        `accuracy` (PredPower) and `correct`, a bit for each test image (see `unpacked`); `bits`, the mean cross-entropy on the test
        images, and `image_bits`, that of each (see `calibrated_bits` and `unpacked_bits`); and `seconds`.

    Raises:
        TrainingError: the loss, or a test image's logit, is not finite.
    """
    start = time.perf_counter()
    with one_thread():
        with seeded(cell.recipe.seed, device):
            learner = cell.build().to(device)
            fit(learner, cell.unmasking.draw(cell.train, device), len(cell.train), cell.recipe, device=device)
            logits = logits_of(learner, cell.unmasking.draw(cell.test, device), len(cell.test), cell.recipe, device)
        seconds = time.perf_counter() - start
        return _measured(cell, logits.numpy()) | {"seconds": round(seconds, 3)}


@torch.no_grad()
def logits_of(learner: nn.Module, draw: Draw, count: int, recipe: Recipe, device: torch.device) -> Tensor:
    """Logits of `count` images, float32 (count, L) on the CPU, by the learner, which is put into evaluation mode."""
    learner.eval()
    found = []
    for indices in torch.split(torch.arange(count), BATCH):
        images, _ = draw(indices)
        with autocast(recipe, device):
            found.append(learner(images).float().cpu())
    return torch.cat(found)


def _measured(cell: Cell, logits: np.ndarray) -> dict[str, Any]:
    """What these logits (N, L) know of the test images' labels."""
    if not np.isfinite(logits).all():
        raise TrainingError(f"logits of test images are not finite: lower `learning_rate` (={cell.recipe.learning_rate})")
    hits = logits.argmax(axis=1) == cell.test.labels
    bits = calibrated_bits(logits, cell.test.labels, label_prior(cell.train.labels, cell.classes), cell.recipe.seed)
    return {
        "accuracy": int(hits.sum()) / len(hits),
        "correct": packed(hits),
        "bits": float(bits.mean()),
        "image_bits": packed_bits(bits),
    }


def by_key(cells: Mapping[Any, Cell]) -> dict[str, Cell]:
    """The cells by the store's key: equal rankings share their fits."""
    return {key_of(cell.description): cell for cell in cells.values()}


def lacking_images(cells: Iterable[Cell], store: Store) -> dict[str, FilledImages]:
    """The filled images that these cells need and the store lacks, by key."""
    needed = {images.key: images for cell in cells for images in cell.filled}
    return {key: images for key, images in needed.items() if images.read(store) is None}


def _filled(cell: Cell, store: Store) -> Cell:
    if not cell.filled:
        return cell
    splits = [images.read(store) for images in cell.filled]
    return cell.seeing(split for split in splits if split is not None)


def _shuffled(work: Iterable[T]) -> list[T]:
    """In an order of this process's own: two processes or machines on one store then seldom do the same work."""
    found = list(work)
    random.SystemRandom().shuffle(found)
    return found
