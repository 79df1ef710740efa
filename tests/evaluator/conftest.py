"""Images whose bits of values have a closed form."""

from __future__ import annotations

import numpy as np
import pytest

import gradaudit as ga


def three_bits(count: int, seed: int) -> tuple[ga.ImageSet, np.ndarray]:
    """Three fair bits in a row; the label is the first where the third is 1, else the second. And the bits (N, 3)."""
    bits = np.random.default_rng(seed).integers(0, 2, (count, 3))
    labels = np.where(bits[:, 2] == 1, bits[:, 0], bits[:, 1])
    return ga.ImageSet((bits * 255).astype(np.uint8).reshape(count, 1, 1, 3), labels, ("0", "1")), bits


def tiny(count: int, seed: int, channels: int = 1) -> ga.ImageSet:
    """8 x 8 images of three classes, each bright in a row of its own."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = rng.integers(0, 60, (count, channels, 8, 8), dtype=np.uint8)
    images[np.arange(count), :, labels * 2 + 1] += 150
    return ga.ImageSet(images, labels, ("a", "b", "c"))


@pytest.fixture(scope="session", name="three_bits")
def three_bits_fixture():
    return three_bits


@pytest.fixture(scope="session", name="tiny")
def tiny_fixture():
    return tiny
