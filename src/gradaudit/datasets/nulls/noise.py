"""Null blocks of noise."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np
from scipy.special import ndtri

from gradaudit.datasets.nulls import NullBlocks, Shape
from gradaudit.errors import require


def noise(*, mean: float = 0.5, std: float = 0.25) -> NullBlocks:
    """Gaussian noise about a grey, drawn anew for every block, pixel and channel.

    Args:
        mean: in pixel values of [0, 1].
        std: standard deviation, likewise, 0 or more. Pixels are clamped to [0, 1], so theirs is smaller: .24 for .25.

    Raises:
        InputError: `mean` or `std` is out of its range.
    """
    require(_is_number(mean) and 0 <= mean <= 1, "mean", mean, "a number from 0 to 1")
    require(_is_number(std) and 0 <= std < math.inf, "std", std, "a finite number, 0 or more")

    # The level of each of 65,536 equally likely draws: a fraction of the time of Gaussian numbers that are rounded to 256 levels.
    quantiles = ndtri((np.arange(2**16) + 0.5) / 2**16)
    levels = np.rint(255 * (mean + std * quantiles)).clip(0, 255).astype(np.uint8)

    def draw(count: int, shape: Shape, generator: np.random.Generator) -> np.ndarray:
        pixels: np.ndarray = levels[generator.integers(2**16, size=(count, *shape), dtype=np.uint16)]
        return pixels

    return draw


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
