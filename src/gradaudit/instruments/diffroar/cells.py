"""Cells of the grid: each is one learner fitted on images unmasked as they are drawn, and what it gets right on test images."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.attributions import kept
from gradaudit.classifiers.normalisation import Normalisation, read_normalisation
from gradaudit.devices import one_thread, resolve_precision, seeded
from gradaudit.errors import TrainingError
from gradaudit.fills import Fill
from gradaudit.instruments.diffroar.usable_information import calibrated_bits, label_prior, packed_bits
from gradaudit.training.fitting import Draw, autocast, fit
from gradaudit.training.recipe import Recipe
from gradaudit.training.store import Store, packed

Side = Literal["top", "bottom"]
SIDES: tuple[Side, Side] = ("top", "bottom")
Content = Literal["image", "mask", "both", "whole"]

VERSIONS = {"torch": torch.__version__, "gradaudit": version("gradaudit")}  # another version's outcomes are not used
MEASURED = ["correct", "bits 2"]  # outcomes that lack one of them, or measured it otherwise, are not used either


@dataclass(frozen=True)
class Split:
    """The training or the test images with one ranking of them, as arrays that may be memory-mapped.

    Args:
        images: uint8 (N, C, H, W).
        labels: int64 (N,).
        ranks: centred ranks (N, F), over coordinates (F = C*H*W) or pixels (F = H*W); None where whole images are shown.
        filled: whether a cell's removed features are filled in these images already.
    """

    images: np.ndarray
    labels: np.ndarray
    ranks: np.ndarray | None
    filled: bool = False

    @property
    def mask_channels(self) -> int:
        """Channels of a mask: one where pixels are ranked, or as many as the images have; 0 without a ranking."""
        return 0 if self.ranks is None else self.ranks.shape[1] // (self.images.shape[2] * self.images.shape[3])


@dataclass(frozen=True)
class Cell:
    """What decides a fit besides its data.

    Args:
        keep: number of features kept.
        side: the highest-ranked (`"top"`) or the lowest-ranked (`"bottom"`).
        content: what the learner sees: the `"image"` in which the removed features are filled; only the `"mask"` of which are
            kept; `"both"`, the mask as further channels; or the `"whole"` image.
        fill: what stands in the place of removed features; None where none is seen.
        recipe: the learner, with this cell's seed.
        shift: image i is given the ranking of image i + shift, cyclically; not 0 only for rankings that know no image, which are
            so drawn anew for every seed at no cost.
    """

    keep: int
    side: Side
    content: Content
    fill: Fill | None
    recipe: Recipe
    shift: int = 0

    def describe(self, data: Sequence[str], device: torch.device) -> dict[str, Any]:
        """The store's key of this cell's fit on data, and by a network, with these fingerprints."""
        recipe = self.recipe.model_dump() | {"precision": resolve_precision(self.recipe.precision, device)}
        cell = {"content": self.content, "recipe": recipe, **self.unmasked()}
        return {"what": "fits", "measured": MEASURED, "cell": cell, "data": list(data), "device": device.type, **VERSIONS}

    def unmasked(self) -> dict[str, Any]:
        """What decides the filled images, beside images and ranking."""
        return {"keep": self.keep, "side": self.side, "shift": self.shift, "fill": self.fill.key if self.fill else ""}


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
    """What a fresh learner knows of the test images' labels (methods, section 1, step 4), and the seconds that it took.

    Returns:
        `accuracy` (PredPower) and `correct`, a bit for each test image (see `unpacked`); `bits`, the mean cross-entropy on the test
        images, and `image_bits`, that of each (see `calibrated_bits` and `unpacked_bits`); and `seconds`.

    Raises:
        TrainingError: the loss, or a test image's logit, is not finite.
    """
    start = time.perf_counter()
    with one_thread(), seeded(cell.recipe.seed, device):
        learner = build_learner(cell, train, classes).to(device)
        fit(learner, unmasking(cell, train, device), len(train.labels), cell.recipe, device=device)
        logits = logits_of(learner, unmasking(cell, test, device), len(test.labels), cell.recipe, device).numpy()
    if not np.isfinite(logits).all():
        raise TrainingError(f"logits of test images are not finite: lower `learning_rate` (={cell.recipe.learning_rate})")
    hits = logits.argmax(axis=1) == test.labels
    bits = calibrated_bits(logits, test.labels, label_prior(train.labels, classes), cell.recipe.seed)
    return {
        "accuracy": int(hits.sum()) / len(hits),
        "correct": packed(hits),
        "bits": float(bits.mean()),
        "image_bits": packed_bits(bits),
        "seconds": round(time.perf_counter() - start, 3),
    }


@torch.no_grad()
def logits_of(learner: nn.Module, draw: Draw, count: int, recipe: Recipe, device: torch.device, batch: int = 512) -> Tensor:
    """Logits of `count` images, float32 (count, L) on the CPU, by the learner, which is put into evaluation mode."""
    learner.eval()
    found = []
    for indices in torch.split(torch.arange(count), batch):
        images, _ = draw(indices)
        with autocast(recipe, device):
            found.append(learner(images).float().cpu())
    return torch.cat(found)


def build_learner(cell: Cell, split: Split, classes: int) -> nn.Module:
    """An untrained learner for what the cell shows of the split; its weights are drawn from the caller's random state.

    Raises:
        InputError: the recipe's network can't take it.
    """
    channels, height, width = split.images.shape[1:]
    if cell.content != "both":
        return cell.recipe.build((channels, height, width), classes)
    return learner_of_both(cell.recipe, (channels, height, width), split.mask_channels, classes)


def learner_of_both(recipe: Recipe, shape: tuple[int, int, int], mask_channels: int, classes: int) -> nn.Module:
    """An untrained learner that sees masks beside images of this shape; the recipe's normalisation is the images' alone."""
    found = read_normalisation(recipe.normalisation, shape[0])
    if found is not None:
        extended = Normalisation(found.mean + (0.0,) * mask_channels, found.std + (1.0,) * mask_channels)
        recipe = recipe.with_(normalisation=extended)
    return recipe.build((shape[0] + mask_channels, *shape[1:]), classes)


def unmasking(cell: Cell, split: Split, device: torch.device) -> Draw:
    """Batches of what the cell shows; where no features come filled, no masked copy of the data set ever exists."""
    images, labels = (torch.from_numpy(array).to(device) for array in (split.images, split.labels))
    if split.ranks is None:
        return lambda indices: (images[indices.to(device)].float().div_(255), labels[indices.to(device)])
    ranks = torch.from_numpy(split.ranks).to(device)
    masks = (split.mask_channels, *images.shape[2:])

    def draw(indices: Tensor) -> tuple[Tensor, Tensor]:
        indices = indices.to(device)
        ranking = ranks[(indices + cell.shift) % len(ranks)] if cell.shift else ranks[indices]
        mask = kept(ranking, cell.keep, cell.side).view(-1, *masks)
        if cell.content == "mask":
            return mask.expand(-1, *images.shape[1:]).float(), labels[indices]
        pixels = images[indices].float().div_(255)
        if not split.filled:
            assert cell.fill is not None  # nothing is shown of what is removed
            pixels = cell.fill(pixels, mask)
        return (torch.cat([pixels, mask.float()], dim=1) if cell.content == "both" else pixels), labels[indices]

    return draw
