"""A planted problem with a known answer: the label lies in one known block of pixels, and nowhere else.

Subprocesses run this file too, so that a killed or concurrent run is the same run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import gradaudit as ga

SIDE, CLASSES = 8, 10
BLOCK = (slice(1, 3), slice(2, 7))  # 2 x 5 pixels: one for each class
RECIPE = ga.Recipe(network="linear", epochs=2, batch_size=32, learning_rate=0.2)


def planted(count: int, seed: int, channels: int = 1) -> ga.ImageSet:
    """Faint noise, and of the ten pixels of the block the label's own is bright."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % CLASSES)
    images = rng.integers(0, 40, (count, channels, SIDE, SIDE), dtype=np.uint8)
    block = np.zeros((count, CLASSES), np.uint8)
    block[np.arange(count), labels] = 255
    images[(slice(None), slice(None), *BLOCK)] = block.reshape(count, 1, 2, 5)
    return ga.ImageSet(images, labels, tuple("abcdefghij"))


def scores_on_block(images: ga.ImageSet, inside: float, outside: float) -> torch.Tensor:
    """Scores that know the block, and no more."""
    scores = torch.full(images.images.shape, outside)
    scores[(slice(None), slice(None), *BLOCK)] = inside
    return scores


def linear_classifier(channels: int = 1, seed: int = 0) -> nn.Module:
    """An untrained linear classifier: its gradients are some fixed numbers."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * SIDE * SIDE, CLASSES))


def planted_grid(store: str | Path, **options: Any) -> ga.DiffROARResult:
    """The run that tests of the store share: 2 attributions, 2 levels, 3 seeds, 3 * (1 + 2 * 2 * 6) fits."""
    chosen = {"levels": (0.1, 0.3), "seeds": 3, "controls": ("random",), "learner": RECIPE, "workers": 1, "device": "cpu"}
    return ga.diffroar(linear_classifier(), planted(200, 0), planted(100, 1), evaluate="retrain", store=store, **(chosen | options))


def fits_in(store: str | Path) -> list[Path]:
    """The finished fits of a store."""
    return sorted(Path(store).glob("fits/*/*.json"))


class Planted:
    """What tests take from this file."""

    block = BLOCK
    recipe = RECIPE
    images = staticmethod(planted)
    scores = staticmethod(scores_on_block)
    classifier = staticmethod(linear_classifier)
    grid = staticmethod(planted_grid)
    fits = staticmethod(fits_in)


@pytest.fixture(scope="session", name="planted")
def planted_fixture() -> type[Planted]:
    return Planted
