"""Readings: what an evaluator makes of the test images under the masks of one ranking, level and side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gradaudit.attributions import Features, kept
from gradaudit.devices import one_thread
from gradaudit.evaluator import Evaluator, EvaluatorTraining, mask_shape, trained
from gradaudit.evaluator.training import VERSIONS
from gradaudit.images import ImageSet
from gradaudit.instruments.diffroar.unmasking import Side
from gradaudit.training.store import Store, key_of, packed
from gradaudit.usable_information import packed_bits

MEASURED = ["correct", "bits", "choice", "as read"]  # outcomes that lack one of them, or measured it otherwise, are not used


@dataclass(frozen=True, eq=False)
class Reading:
    """Which features of the test images are read.

    Args:
        ranks: centred ranks (N, F) of the test images, possibly memory-mapped; None for all features.
        ranking: the fingerprint of their values.
        keep: number of features kept.
        side: the highest- or the lowest-ranked.
        shift: image i is given the ranking of image i + shift, cyclically; not 0 only for rankings that know no image.
    """

    ranks: np.ndarray | None
    ranking: str
    keep: int
    side: Side
    shift: int = 0

    def describe(self, training: EvaluatorTraining, test: str) -> dict[str, Any]:
        """The store's key of what the evaluator of this training makes of the test images with this fingerprint."""
        own = {"ranking": self.ranking, "keep": self.keep, "side": self.side, "shift": self.shift}
        evaluator = key_of(training.description)
        return {"what": "readings", "measured": MEASURED, "reading": own, "evaluator": evaluator, "test": test, **VERSIONS}

    def masks(self, images: ImageSet, features: Features) -> torch.Tensor:
        """Booleans (N, M, H, W)."""
        size = (len(images), *mask_shape(images.shape, features))
        if self.ranks is None:
            return torch.ones(size, dtype=torch.bool)
        ranks = torch.from_numpy(np.asarray(self.ranks)).roll(-self.shift, 0)
        return kept(ranks, self.keep, self.side).view(size)


def train_evaluator(training: EvaluatorTraining, store: Store) -> None:
    """Train the evaluator, unless the store has it."""
    trained(training, store)


def read_all(
    training: EvaluatorTraining, test: ImageSet, readings: Sequence[Reading], keys: Sequence[dict[str, Any]], store: Store
) -> dict[str, dict[str, Any]]:
    """The outcomes of readings by key, from the store or from the evaluator, which the store must have.

    Raises:
        TrainingError: a test image's logit is not finite.
    """
    found = {key_of(key): store.get(key) for key in keys}
    missing = [(reading, key) for reading, key in zip(readings, keys, strict=True) if found[key_of(key)] is None]
    if missing:
        with one_thread():
            evaluator = trained(training, store)
            for reading, key in missing:
                outcome = read(evaluator, test, reading, training.seed)
                store.put(key, outcome)
                found[key_of(key)] = outcome
    return {key: outcome for key, outcome in found.items() if outcome is not None}


def read(evaluator: Evaluator, test: ImageSet, reading: Reading, seed: int) -> dict[str, Any]:
    """What the evaluator makes of the test images under these masks.

    Returns: `accuracy`, and `correct`, a bit for each image (see `unpacked`); and of the cross-entropies that `Evaluator.read`
        gives the mean and those of each image (see `unpacked_bits`): `bits` and `image_bits`, `choice_bits` and
        `choice_image_bits`, `come_bits` and `come_image_bits`.

    Raises:
        TrainingError: a logit is not finite.
    """
    found = evaluator.read(test, reading.masks(test, evaluator.features), seed=seed)
    return {
        "accuracy": int(found.hits.sum()) / len(found.hits),
        "correct": packed(found.hits),
        **_packed("", found.bits),
        **_packed("choice_", found.choice),
        **_packed("come_", found.as_read),
    }


def _packed(prefix: str, bits: np.ndarray) -> dict[str, Any]:
    return {f"{prefix}bits": float(bits.mean()), f"{prefix}image_bits": packed_bits(bits)}
