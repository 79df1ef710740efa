"""The two synthetic distributions of the theory of feature leakage: Shah et al. (2021).

Their numbers are kept as 8-bit levels about 127, which stands for 0, so that they are images like any other. The signal is 60
levels away from it: an attack as large as the signal itself still lies within the pixels' range. The normalisation that gives the
numbers back is a constant here, or a function of the options, and goes into the classifier: `Recipe(normalisation=...)`.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np
import torch

from gradaudit.errors import require, require_whole
from gradaudit.images import ImageSet

CLASSES = ("-1", "+1")
_ZERO, _SPAN = 127, 60
_DEVIATIONS = 4  # of the noise, that fit beside the signal

Numbers = tuple[float, ...]

COORDINATE_NORMALISATION: tuple[Numbers, Numbers] = ((_ZERO / 255,), (_SPAN / 255,))
"""The mean and the standard deviation with which the pixels of `coordinate_images` are exactly -1, 0 and +1."""


def coordinate_images(count: int, *, dimensions: int = 10, seed: int = 0) -> ImageSet:
    """x = y e_j, with j and y = -1 or +1 uniform: the label is the sign of one coordinate, the others are zero.

    Shah et al. (2021), in R^10. The signal mask is True at coordinate j. Levels are 67, 127 and 187; `COORDINATE_NORMALISATION`
    gives the numbers back.

    Args:
        count: number of images, each 1 x 1 x `dimensions`, at least 1.
        dimensions: number of coordinates, at least 1.
        seed: at least 0; the first images are the same however many follow.

    Raises:
        InputError: an argument is out of its range.
    """
    _require_whole(1, count=count, dimensions=dimensions)
    labels, place = _drawn(count, dimensions, seed)
    levels = np.full((count, 1, 1, dimensions), _ZERO, np.uint8)
    levels[np.arange(count), 0, 0, place] = _ZERO + _SPAN * (2 * labels - 1)
    return _image_set(levels, labels, np.arange(dimensions) == place[:, None, None])


def block_vectors(count: int, *, blocks: int = 10, width: int = 10, noise: float = 0.05, seed: int = 0) -> ImageSet:
    """d blocks, one of them y u plus noise, the others noise alone, with the block and y = -1 or +1 uniform.

    Shah et al. (2021), with Gaussian noise. u is the unit vector (1, ..., 1) / sqrt(width): to a network whose first weights are
    Gaussian all unit vectors are alike, and this one loses the least in 8 bits. An image is 1 x `blocks` x `width`, a block a row;
    the signal mask is True on the signal's row.

    A level is (1 / sqrt(width) + 4 noise) / 60, so u with 4 standard deviations of noise is 60 levels away from 0; what is beyond
    (3 in 100,000 of the signal's coordinates) is clamped. `block_vectors_normalisation` gives x back to within half a level.

    Args:
        count: number of images, at least 1.
        blocks: number of blocks d, at least 1.
        width: coordinates a block, at least 1.
        noise: standard deviation of each coordinate, 0 or more, finite.
        seed: at least 0; the first images are the same however many follow.

    Raises:
        InputError: an argument is out of its range.
    """
    _require_whole(1, count=count, blocks=blocks)
    limit = _limit(width, noise)
    labels, place = _drawn(count, blocks, seed)
    values = noise * np.random.default_rng([seed, 1]).standard_normal((count, blocks, width), dtype=np.float32)
    values[np.arange(count), place] += (2 * labels[:, None] - 1) / math.sqrt(width)
    levels = np.clip(np.rint(values * (_SPAN / limit)) + _ZERO, _ZERO - _SPAN, _ZERO + _SPAN).astype(np.uint8)
    mask = (np.arange(blocks) == place[:, None])[..., None].repeat(width, axis=2)
    return _image_set(levels[:, None], labels, mask)


def block_vectors_normalisation(*, width: int = 10, noise: float = 0.05) -> tuple[Numbers, Numbers]:
    """The mean and the standard deviation with which the pixels of `block_vectors` of these options are x.

    Raises:
        InputError: an option is out of its range.
    """
    return (_ZERO / 255,), (_SPAN / 255 / _limit(width, noise),)


def _limit(width: int, noise: Any) -> float:
    _require_whole(1, width=width)
    number = isinstance(noise, Real) and not isinstance(noise, bool)
    require(number and 0 <= noise < math.inf, "noise", noise, "a finite number, 0 or more")
    return float(1 / math.sqrt(width) + _DEVIATIONS * noise)


def _drawn(count: int, places: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels, 0 or 1, and places."""
    _require_whole(0, seed=seed)
    codes = np.random.default_rng(seed).integers(2 * places, size=count)
    return codes % 2, codes // 2


def _image_set(levels: np.ndarray, labels: np.ndarray, mask: np.ndarray) -> ImageSet:
    return ImageSet(torch.from_numpy(levels), torch.from_numpy(labels), CLASSES, torch.from_numpy(mask))


def _require_whole(least: int, **values: Any) -> None:
    for argument, value in values.items():
        require_whole(argument, value, least)
