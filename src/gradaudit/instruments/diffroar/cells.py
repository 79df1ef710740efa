"""Cells of the grid: each is one learner fitted on images unmasked as they are drawn, and its test accuracy."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from gradaudit.attributions import kept
from gradaudit.devices import one_thread, resolve_precision, seeded
from gradaudit.training.fitting import Draw, correct, fit
from gradaudit.training.recipe import Recipe
from gradaudit.training.store import Store, packed

Side = Literal["top", "bottom"]
Content = Literal["image", "mask", "whole"]

VERSIONS = {"torch": torch.__version__, "gradaudit": version("gradaudit")}  # another version's outcomes are not used


@dataclass(frozen=True)
class Split:
    """The training or the test images with one ranking of them, as arrays that may be memory-mapped.

    Args:
        images: uint8 (N, C, H, W).
        labels: int64 (N,).
        ranks: centred ranks (N, F), over coordinates (F = C*H*W) or pixels (F = H*W); None where whole images are shown.
    """

    images: np.ndarray
    labels: np.ndarray
    ranks: np.ndarray | None


@dataclass(frozen=True)
class Cell:
    """What decides a fit besides its data.

    Args:
        keep: number of features kept.
        side: the highest-ranked (`"top"`) or the lowest-ranked (`"bottom"`).
        content: `"image"` shows the learner the kept features; `"mask"` only which ones they are; `"whole"` all features.
        fill: value of the removed features, for each channel, in [0, 1]; empty where none is needed.
        recipe: the learner, with this cell's seed.
        shift: image i is given the ranking of image i + shift, cyclically; not 0 only for rankings that know no image, which are
            so drawn anew for every seed at no cost.
    """

    keep: int
    side: Side
    content: Content
    fill: tuple[float, ...]
    recipe: Recipe
    shift: int = 0

    def describe(self, data: Sequence[str], device: torch.device) -> dict[str, Any]:
        """The store's key of this cell's fit on data, and by a network, with these fingerprints."""
        recipe = self.recipe.model_dump() | {"precision": resolve_precision(self.recipe.precision, device)}
        cell = asdict(self) | {"recipe": recipe, "fill": list(self.fill)}
        return {"what": "fits", "cell": cell, "data": list(data), "device": device.type, **VERSIONS}


def run_cell(
    cell: Cell, train: Split, test: Split, classes: int, description: dict[str, Any], store: Store, device: str
) -> dict[str, Any]:
    """The outcome of a cell, from the store or by fitting it; a pure function of the cell and its data."""
    found = store.get(description)
    if found is None:
        found = fit_cell(cell, train, test, classes, torch.device(device))
        store.put(description, found)
    return found


def fit_cell(cell: Cell, train: Split, test: Split, classes: int, device: torch.device) -> dict[str, Any]:
    """What a fresh learner gets right on the test images (PredPower; methods, section 1, step 4), and the seconds that it took.

    Returns:
        `accuracy`; `correct`, a bit for each test image (see `unpacked`); and `seconds`.
    """
    start = time.perf_counter()
    with one_thread(), seeded(cell.recipe.seed, device):
        learner = cell.recipe.build(tuple(train.images.shape[1:]), classes).to(device)
        fit(learner, unmasking(cell, train, device), len(train.labels), cell.recipe, device=device)
        hits = correct(learner, unmasking(cell, test, device), len(test.labels), cell.recipe, device=device).numpy()
    return {"accuracy": int(hits.sum()) / len(hits), "correct": packed(hits), "seconds": round(time.perf_counter() - start, 3)}


def unmasking(cell: Cell, split: Split, device: torch.device) -> Draw:
    """Batches in which only the cell's features are left; no masked copy of the data set ever exists."""
    images, labels = (torch.from_numpy(array).to(device) for array in (split.images, split.labels))
    if split.ranks is None:
        return lambda indices: (images[indices.to(device)].float().div_(255), labels[indices.to(device)])
    ranks = torch.from_numpy(split.ranks).to(device)
    shape = images.shape[1:]
    over_pixels = ranks.shape[1] != images[0].numel()
    fill = torch.tensor(cell.fill, device=device).view(-1, 1, 1)

    def draw(indices: Tensor) -> tuple[Tensor, Tensor]:
        indices = indices.to(device)
        ranking = ranks[(indices + cell.shift) % len(ranks)] if cell.shift else ranks[indices]
        mask = kept(ranking, cell.keep, cell.side)
        mask = mask.view(-1, 1, *shape[1:]).expand(-1, *shape) if over_pixels else mask.view(-1, *shape)
        if cell.content == "mask":
            return mask.float(), labels[indices]
        pixels = images[indices].float().div_(255)
        return (torch.where(mask, pixels, fill) if any(cell.fill) else pixels.mul_(mask)), labels[indices]

    return draw
