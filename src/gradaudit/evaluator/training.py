"""The training of an evaluator: all that decides it, and the loop whose masks cost next to nothing beside its steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gradaudit.attributions import Features
from gradaudit.devices import one_thread, seeded
from gradaudit.evaluator.blocks import alike
from gradaudit.evaluator.masks import MaskPool, PoolRanking, mask_shape, own_masks, random_masks
from gradaudit.evaluator.spec import EvaluatorSpec
from gradaudit.fills import Fill
from gradaudit.images import ImageSet, floats_at, ones_where
from gradaudit.training.checkpoint import SUFFIX, Checkpoint, keeping
from gradaudit.training.fitting import Draw, fit
from gradaudit.training.recipe import Recipe
from gradaudit.training.run import TrainingRun
from gradaudit.training.sizing import bytes_of_training
from gradaudit.training.store import Store
from gradaudit.training.timing import seconds_a_step

BLOCK = 8  # similar images that are shown under one mask; of many classes, more
WAYS = 16  # of forming blocks
CHECKPOINT_SECONDS = 60.0  # between two checkpoints of a training

VERSIONS = {"torch": str(torch.__version__), "gradaudit": version("gradaudit")}  # in keys: another version's outcomes are not used


@dataclass(frozen=True, eq=False)
class EvaluatorTraining:
    """All that decides an evaluator.

    Args:
        spec: its network and its schedule; `seed` replaces the recipe's.
        images: on which it is trained.
        features: what a mask keeps or removes.
        fill: what stands in the place of removed features.
        lowest: the smallest share of the features that it is to read.
        rankings: of images by attributions, whose masks join the random ones.
        seed: of initial weights, masks, and the order of images.
        device: where it is trained.
        only: the share of the features that all masks keep, at random; a specialist to compare the evaluator with. None for the
            mixture of masks.
        only_ranks: the rankings that the specialist's masks follow instead, their highest-ranked features kept.
        own: rankings of the training images themselves, each shown under its own, the highest-ranked features kept: a learner of
            mask and pixels, which reads the choice as well.
    """

    spec: EvaluatorSpec
    images: ImageSet
    features: Features
    fill: Fill
    lowest: float
    rankings: tuple[PoolRanking, ...]
    seed: int
    device: torch.device
    only: float | None = None
    only_ranks: PoolRanking | None = None
    own: PoolRanking | None = None

    @property
    def mask_channels(self) -> int:
        """Channels of a mask."""
        return mask_shape(self.images.shape, self.features)[0]

    @property
    def description(self) -> dict[str, Any]:
        """The store's key."""
        return {
            "what": "evaluators",
            "network": self.spec.fingerprint,
            "recipe": self.spec.recipe.key(self.device) | {"seed": self.seed},
            "images": self.images.fingerprint,
            "features": self.features,
            "fill": self.fill.key,
            "lowest": self.lowest,
            "masks": [one.fingerprint for one in self.rankings],
            "only": self.only,
            "only_ranks": None if self.only_ranks is None else self.only_ranks.fingerprint,
            "own": None if self.own is None else self.own.fingerprint,
            "block": block_size(self.images),
            "device": self.device.type,
            **VERSIONS,
        }

    def file(self, store: Store) -> Path:
        """Where the trained network lies in the store, or would lie."""
        return store.path(self.description, ".safetensors")

    @property
    def steps(self) -> int:
        """Steps of the training."""
        blocks = -(-len(self.images) // block_size(self.images))
        return -(-blocks // self.by_block.batch_size) * self.spec.recipe.epochs

    def seconds(self, steps: int) -> float:
        """Predicted seconds of the training on this machine, from so many steps."""
        with one_thread(), seeded(self.seed, self.device):
            network = self.spec.build(self.images, self.mask_channels).to(self.device)
            start = time.perf_counter()
            draw, blocks = self.draw()
            ready = time.perf_counter() - start
            return ready + self.steps * seconds_a_step(network, draw, blocks, self.by_block, steps, device=self.device)

    def working_bytes(self) -> float:
        """Bytes at the peak of a step, from one block forward."""
        with one_thread(), seeded(self.seed, self.device):
            network = self.spec.build(self.images, self.mask_channels).to(self.device)
            return bytes_of_training(network, self.draw()[0], self.by_block, self.device, block_size(self.images))

    @property
    def by_block(self) -> Recipe:
        """The schedule, counted in blocks."""
        size = block_size(self.images)
        return self.spec.recipe.with_(seed=self.seed, batch_size=max(1, self.spec.recipe.batch_size // size))

    def train(self, store: Store | None = None, after_step: Callable[[TrainingRun], None] = lambda run: None) -> nn.Module:
        """The trained network, in evaluation mode; a training that was stopped goes on from its checkpoint in the store.

        Raises:
            TrainingError: the loss is no longer finite.
            StoreError: the checkpoint can't be written.
        """
        checkpoint = None
        if store is not None:
            checkpoint = Checkpoint(self.file(store).with_suffix(SUFFIX), {"evaluator": self.description})
        keep = keeping(checkpoint, (), CHECKPOINT_SECONDS)

        def stepped(run: TrainingRun) -> None:
            if not run.between_epochs or run.step == self.steps:  # an epoch may last a second: minutes are enough
                keep(run)
            after_step(run)

        with one_thread(), seeded(self.seed, self.device):
            network = self.spec.build(self.images, self.mask_channels).to(self.device)
            draw, blocks = self.draw()
            saved = checkpoint.load() if checkpoint else None
            fit(network, draw, blocks, self.by_block, device=self.device, start=saved, after_step=stepped)
        if checkpoint:
            checkpoint.path.unlink(missing_ok=True)
        return network.eval()

    def draw(self) -> tuple[Draw, int]:
        """Batches by the indices of blocks, and how many blocks there are."""
        images, labels = self.images.images, self.images.labels
        # Several ways to form blocks, so that the differences within one do not last.
        size, epochs = block_size(self.images), self.spec.recipe.epochs
        ways = torch.stack([alike(images.numpy(), labels.numpy(), size, [self.seed, way]) for way in range(min(epochs, WAYS))])
        pixels, classes = images.to(self.device), labels.to(self.device)
        masks = self._masks()

        def draw(indices: Tensor) -> tuple[Tensor, Tensor]:
            chosen = ways[torch.randint(len(ways), indices.shape), indices]
            where = chosen.flatten().to(self.device)
            # One mask a block: similar images of every class meet it.
            mask = masks(where) if self.own else masks(chosen[:, 0]).repeat_interleave(chosen.shape[1], dim=0)
            return shown(floats_at(pixels, where), mask, self.fill), classes[where]

        return draw, ways.shape[1]

    def _masks(self) -> Callable[[Tensor], Tensor]:
        """From the images that are shown to their masks; which images these are decides nothing but in a learner of own masks."""
        shape = self.images.shape
        if self.only is None:
            pool = MaskPool(shape, self.features, self.lowest, self.seed, self.rankings, self.device)
            return lambda where: pool.draw(len(where))
        if self.own is not None:
            return own_masks(self.own, shape, self.features, self.only, self.device)
        one_kind = random_masks(shape, self.features, self.only, self.seed, self.only_ranks, self.device)
        return lambda where: one_kind(len(where))


def shown(images: Tensor, mask: Tensor, fill: Fill) -> Tensor:
    """What a network sees of images (n, C, H, W) under a mask (n, M, H, W): filled pixels, and the mask as further channels."""
    return torch.cat([fill(images, mask), ones_where(mask)], dim=1)


def block_size(images: ImageSet) -> int:
    """Images under one mask: at least one of every class, where the classes are few."""
    return min(max(BLOCK, min(len(images.classes), 16)), len(images))
