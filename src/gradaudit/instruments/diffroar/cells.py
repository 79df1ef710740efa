"""Cells of the grid: each is one learner fitted on images unmasked as they are drawn, and what it gets right on test images."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.attributions import kept
from gradaudit.devices import one_thread, resolve_precision
from gradaudit.errors import TrainingError
from gradaudit.evaluator import build_with_mask
from gradaudit.fills import Fill
from gradaudit.images import floats_at, ones_where
from gradaudit.training.fitting import Draw, autocast
from gradaudit.training.recipe import Recipe
from gradaudit.training.store import Store, packed
from gradaudit.training.together import ONE_BY_ONE, Member, fit_together
from gradaudit.usable_information import calibrated_bits, label_prior, packed_bits

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


def describe_way(description: dict[str, Any], way: str) -> dict[str, Any]:
    """The store's key of the fit when it was trained in that way: another way's numbers differ in the last digits."""
    return description if way == ONE_BY_ONE else description | {"together": way}


def run_cells(
    cells: Sequence[Cell],
    splits: Sequence[tuple[Split, Split]],
    classes: int,
    descriptions: Sequence[dict[str, Any]],
    store: Store,
    device: str,
    ways: Sequence[str],
) -> list[dict[str, Any]]:
    """The outcomes of cells that share a recipe but for the seed: from the store, or by fitting them together.

    Args:
        cells: of learners of one kind.
        splits: training and test images of each.
        classes: how many there are.
        descriptions: the store's keys, of fits one by one.
        store: gets each outcome as soon as it is there.
        device: where the learners are fitted.
        ways: the first is that in which they are fitted; outcomes of the others count as well.

    Raises:
        TrainingError: a learner's loss, or a test image's logit, is not finite; outcomes of the others in its group are kept.
    """
    found = [found_in(store, description, ways) for description in descriptions]
    missing = [place for place, outcome in enumerate(found) if outcome is None]
    failed: list[TrainingError] = []
    with one_thread():
        fits = fit_cells([cells[at] for at in missing], [splits[at] for at in missing], classes, torch.device(device), ways[0])
        for position, outcome in fits:
            if isinstance(outcome, TrainingError):
                failed.append(outcome)
            else:
                found[missing[position]] = outcome
                store.put(describe_way(descriptions[missing[position]], ways[0]), outcome)
    if failed:
        raise failed[0]
    return [outcome for outcome in found if outcome is not None]


def found_in(store: Store, description: dict[str, Any], ways: Sequence[str]) -> dict[str, Any] | None:
    """The outcome of a fit in the store, trained in one of the ways; None where there is none."""
    outcomes = (store.get(describe_way(description, way)) for way in ways)
    return next((outcome for outcome in outcomes if outcome is not None), None)


def fit_cell(cell: Cell, train: Split, test: Split, classes: int, device: torch.device) -> dict[str, Any]:
    """What a fresh learner knows of the test images' labels (methods, section 1, step 4), and the seconds that it took.

    Returns:
        `accuracy` (PredPower) and `correct`, a bit for each test image (see `unpacked`); `bits`, the mean cross-entropy on the test
        images, and `image_bits`, that of each (see `calibrated_bits` and `unpacked_bits`); `seconds`, its share of its group's; and
        `together`, the way in which it was trained.

    Raises:
        TrainingError: the loss, or a test image's logit, is not finite.
    """
    with one_thread():
        [(_, outcome)] = fit_cells([cell], [(train, test)], classes, device, ONE_BY_ONE)
    if isinstance(outcome, TrainingError):
        raise outcome
    return outcome


def fit_cells(
    cells: Sequence[Cell], splits: Sequence[tuple[Split, Split]], classes: int, device: torch.device, way: str
) -> Iterator[tuple[int, dict[str, Any] | TrainingError]]:
    """Position and outcome, as of `fit_cell`, of each cell as it is there; an error where a test image's logit is not finite.

    Raises:
        TrainingError: a loss is not finite; the outcomes of those that were trained with it come first.
    """
    if not cells:
        return
    start = time.perf_counter()
    place = Placement(device)
    members = [member_of(cell, *own, classes, place) for cell, own in zip(cells, splits, strict=True)]
    for ended in fit_together(way, members, len(splits[0][0].labels), cells[0].recipe, device):
        seconds = (time.perf_counter() - start) / max(1, len(ended))
        for position, logits in ended.items():
            train, test = splits[position]
            outcome = _outcome(cells[position], logits.numpy(), train.labels, test.labels, classes)
            if not isinstance(outcome, TrainingError):
                outcome |= {"seconds": round(seconds, 3), "together": way}
            yield position, outcome
        start = time.perf_counter()


def member_of(cell: Cell, train: Split, test: Split, classes: int, place: Placement) -> Member:
    """The cell's fit as one of a group; what is measured are its logits of the test images, float32 (N, L) on the CPU."""

    def measure(learner: nn.Module) -> Tensor:
        draw = unmasking(cell, test, place.device, place)
        return logits_of(learner, draw, len(test.labels), cell.recipe, place.device)

    return Member(
        cell.recipe.seed,
        lambda: build_learner(cell, train, classes),
        unmasking(cell, train, place.device, place),
        measure,
    )


def _outcome(cell: Cell, logits: np.ndarray, train: np.ndarray, test: np.ndarray, classes: int) -> dict[str, Any] | TrainingError:
    if not np.isfinite(logits).all():
        return TrainingError(f"logits of test images are not finite: lower `learning_rate` (={cell.recipe.learning_rate})")
    hits = logits.argmax(axis=1) == test
    bits = calibrated_bits(logits, test, label_prior(train, classes), cell.recipe.seed)
    return {
        "accuracy": int(hits.sum()) / len(hits),
        "correct": packed(hits),
        "bits": float(bits.mean()),
        "image_bits": packed_bits(bits),
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
    return build_with_mask(cell.recipe, (channels, height, width), split.mask_channels, classes)


class Placement:
    """Arrays on a device, each copied there once however many fits of a group share it.

    Args:
        device: where they go.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._placed: dict[int, tuple[np.ndarray, Tensor]] = {}

    def __call__(self, array: np.ndarray) -> Tensor:
        """The array as a tensor on the device."""
        if id(array) not in self._placed:  # the array is kept, so that no other takes its address
            self._placed[id(array)] = array, torch.from_numpy(array).to(self.device)
        return self._placed[id(array)][1]


def unmasking(cell: Cell, split: Split, device: torch.device, place: Placement | None = None) -> Draw:
    """Batches of what the cell shows; where no features come filled, no masked copy of the data set ever exists.

    Args:
        cell: what is shown.
        split: of which images.
        device: where they go.
        place: puts them there, shared with other cells; a new one unless given.
    """
    place = place or Placement(device)
    images, labels = place(split.images), place(split.labels)
    if split.ranks is None:
        return lambda indices: (floats_at(images, indices.to(device)), labels[indices.to(device)])
    ranks = place(split.ranks)
    masks = (split.mask_channels, *images.shape[2:])

    def draw(indices: Tensor) -> tuple[Tensor, Tensor]:
        indices = indices.to(device)
        ranking = ranks.index_select(0, (indices + cell.shift) % len(ranks) if cell.shift else indices)
        mask = kept(ranking, cell.keep, cell.side).view(-1, *masks)
        if cell.content == "mask":
            return ones_where(mask).expand(-1, *images.shape[1:]).contiguous(), labels[indices]
        pixels = floats_at(images, indices)
        if not split.filled:
            assert cell.fill is not None  # nothing is shown of what is removed
            pixels = cell.fill(pixels, mask)
        return (torch.cat([pixels, ones_where(mask)], dim=1) if cell.content == "both" else pixels), labels[indices]

    return draw
