"""Cells of the grid: for a fill, a level and a side, a recoverer of the mask and a learner of the label from what it recovers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradaudit.attributions import kept
from gradaudit.batching import bytes_per_image
from gradaudit.devices import one_thread, seeded
from gradaudit.fills import Fill
from gradaudit.images import ImageSet, floats_at, ones_where
from gradaudit.instruments.costs import FORWARD
from gradaudit.instruments.mask_recovery.measures import auroc, bits
from gradaudit.instruments.mask_recovery.recoverer import Recoverer, prior_logits, schedule
from gradaudit.training.fitting import Draw, accuracy, fit
from gradaudit.training.recipe import Recipe
from gradaudit.training.sizing import bytes_of_training
from gradaudit.training.store import Store

AT_ONCE = 256  # images filled, or looked at by a recoverer, at once
FILLED = 6  # arrays of the images that are filled at once
MAPS = 2  # of every image: logits, and probabilities
LOOKED_AT = 512  # images whose labels a learner gives at once
TIMED = 256  # images on which a fit is timed


@dataclass(frozen=True)
class Split:
    """Images, uint8 (N, C, H, W), their labels, int64 (N,), and centred ranks (N, F), as arrays that may be memory-mapped."""

    images: np.ndarray
    labels: np.ndarray
    ranks: np.ndarray


@dataclass(frozen=True)
class Cell:
    """What decides the fits of one group of seeds, besides the data.

    Args:
        fill: None for the true mask itself, from which only the label is learned.
        keep: number of features kept.
        side: the highest-ranked (`"top"`) or the lowest-ranked (`"bottom"`).
        recipe: the learner of labels; its seed is replaced.
        epochs: of the recoverer.
    """

    fill: Fill | None
    keep: int
    side: str
    recipe: Recipe
    epochs: int


def run_cell(
    cell: Cell, train: Split, test: Split, classes: int, descriptions: Mapping[int, dict[str, Any]], store: Store, device: str
) -> None:
    """Fit what the cell lacks, a seed of `descriptions` at a time, and keep the outcomes in the store."""
    place = torch.device(device)
    with one_thread(), seeded(min(descriptions), place):
        shown = [_shown(cell, split, place) for split in (train, test)]
    for seed, description in descriptions.items():
        with one_thread(), seeded(seed, place):
            store.put(description, _outcome(cell, shown, (train, test), classes, seed, place))


def seconds_of(cell: Cell, train: ImageSet, features: int, seeds: int, device: torch.device) -> float:
    """Predicted seconds to fit a cell for so many seeds, from a pass over some of the images, which have so many features."""
    some = train[: min(TIMED, len(train))]
    ranks = np.tile(np.arange(features) - features // 2, (len(some), 1))  # any will do: for a plan nothing is ranked
    few = Split(some.images.numpy(), some.labels.numpy(), ranks)
    brief = replace(cell, recipe=cell.recipe.with_(epochs=1), epochs=1)

    def passed(one: Cell) -> tuple[float, float]:
        """Seconds before the fits, and of them."""
        with one_thread(), seeded(0, device):
            start = time.perf_counter()
            shown = _shown(one, few, device)
            begun = time.perf_counter()
            _outcome(one, (shown, shown), (few, few), len(train.classes), 0, device)
            return begun - start, time.perf_counter() - begun

    passed(brief)  # the first is slow
    filling, both = passed(brief)
    _, label = passed(replace(brief, fill=None))
    a_seed = label * cell.recipe.epochs + max(0.0, both - label) * cell.epochs
    return (filling + seeds * a_seed) * len(train) / len(some)


def bytes_of(cell: Cell, train: ImageSet, test: ImageSet, features: int, device: torch.device) -> float:
    """Bytes at the peak of a cell's fits, where the sets' images have so many features, beside images and ranks."""
    some = train[: min(2, len(train))]
    ranks = np.tile(np.arange(features) - features // 2, (len(some), 1))
    few, count = Split(some.images.numpy(), some.labels.numpy(), ranks), len(train) + len(test)
    with one_thread(), seeded(0, device):
        masks = masks_of(few, cell.keep, cell.side, device)
        learner = cell.recipe.build(train.shape, len(train.classes)).to(device)
        label = _labelled(masks, few, train.shape, device)
        shown = min(len(test), LOOKED_AT) * (FORWARD * (bytes_per_image(learner, label(torch.arange(1))[0])))
        needed = max(bytes_of_training(learner, label, cell.recipe, device), shown)
        held = float(features * count)  # the masks
        if cell.fill is None:
            return held + needed
        draw = _shown(cell, few, device)
        recoverer = Recoverer(train.shape[0], prior_logits(masks)).to(device)
        looking = FORWARD * min(len(train), AT_ONCE) * bytes_per_image(recoverer, draw(torch.arange(1))[0])
        looking += FILLED * 4 * train.images[0].numel() * min(len(train), AT_ONCE)
        recovering = bytes_of_training(recoverer, draw, schedule(cell.epochs, 0), device)
        held += MAPS * 4 * features * count + (train.images[0].numel() * count if cell.fill.costly else 0)
        return held + max(needed, recovering, looking)


def masks_of(split: Split, keep: int, side: str, device: torch.device) -> Tensor:
    """Which features are kept, boolean (N, 1, H, W) where pixels were ranked, (N, C, H, W) where coordinates were."""
    ranks = torch.from_numpy(split.ranks)
    return kept(ranks, keep, side).view(len(ranks), -1, *split.images.shape[2:]).to(device)


def _shown(cell: Cell, split: Split, device: torch.device) -> Draw:
    """Batches of filled images with their masks; filled anew for each batch unless that is costly."""
    masks = masks_of(split, cell.keep, cell.side, device)
    images = torch.from_numpy(split.images).to(device)
    fill = cell.fill
    if fill is None:
        return lambda indices: (images[:0], masks[indices.to(device)])

    def draw(indices: Tensor) -> tuple[Tensor, Tensor]:
        indices = indices.to(device)
        shown = masks.index_select(0, indices)
        return fill(floats_at(images, indices), shown), ones_where(shown)

    if not fill.costly:
        return draw
    parts = torch.split(torch.arange(len(images)), AT_ONCE)
    filled = torch.cat([draw(part)[0].mul_(255).round_().to(torch.uint8) for part in parts])

    def found(indices: Tensor) -> tuple[Tensor, Tensor]:
        indices = indices.to(device)
        return floats_at(filled, indices), ones_where(masks.index_select(0, indices))

    return found


def _outcome(
    cell: Cell, shown: Sequence[Draw], splits: tuple[Split, Split], classes: int, seed: int, device: torch.device
) -> dict[str, Any]:
    """What was recovered of the test images' masks, and the accuracy of labels learned from it."""
    masks = [masks_of(split, cell.keep, cell.side, device) for split in splits]
    if cell.fill is None:
        return {"label": _label_accuracy(cell.recipe.with_(seed=seed), masks, splits, classes, device)}
    prior = prior_logits(masks[0])
    recoverer = Recoverer(splits[0].images.shape[1], prior).to(device)
    fit(recoverer, shown[0], len(masks[0]), schedule(cell.epochs, seed), device=device)
    logits = [_logits(recoverer, draw, len(truth)) for draw, truth in zip(shown, masks, strict=True)]
    entropy = bits(prior, masks[1])
    return {
        "auroc": auroc(logits[1], masks[1]),
        "bits": entropy - bits(logits[1], masks[1]),
        "entropy": entropy,
        "label": _label_accuracy(cell.recipe.with_(seed=seed), [part.sigmoid() for part in logits], splits, classes, device),
    }


@torch.no_grad()
def _logits(recoverer: Recoverer, draw: Draw, count: int) -> Tensor:
    recoverer.eval()
    return torch.cat([recoverer(draw(part)[0]) for part in torch.split(torch.arange(count), AT_ONCE)])


def _label_accuracy(recipe: Recipe, seen: Sequence[Tensor], splits: Sequence[Split], classes: int, device: torch.device) -> float:
    """The test accuracy of a learner that sees these maps, (N, M, H, W) of each split, and no pixel."""
    shape = splits[0].images.shape[1:]
    draws = [_labelled(maps, split, shape, device) for maps, split in zip(seen, splits, strict=True)]
    learner = recipe.build(shape, classes).to(device)
    fit(learner, draws[0], len(seen[0]), recipe, device=device)
    return accuracy(learner, draws[1], len(seen[1]), recipe, device=device)


def _labelled(maps: Tensor, split: Split, shape: tuple[int, ...], device: torch.device) -> Draw:
    labels = torch.from_numpy(split.labels).to(device)

    def draw(indices: Tensor) -> tuple[Tensor, Tensor]:
        indices = indices.to(device)
        return maps[indices].float().expand(-1, *shape), labels[indices]

    return draw
