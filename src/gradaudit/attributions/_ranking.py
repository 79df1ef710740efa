"""Rankings: the order of an image's features by attribution magnitude, made once and kept as small integers."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from torch import Tensor

Features = Literal["coordinates", "pixels"]

AT_ONCE = 2**20  # features whose 64-bit keys are sorted at once


def rank(scores: Tensor, first: int, seed: int, features: Features = "coordinates") -> np.ndarray:
    """Ranks by magnitude, 0 for the highest, ties broken by the seed and the image's place in its set.

    Methods, section 1, step 2. A stable sort would instead order the many features whose gradient is exactly zero by their
    position, and so turn position into information.

    Args:
        scores: finite floats (n, C, H, W).
        first: place of the first of these images in its set, so that batches of any size give the same ranks.
        seed: of the order among equal magnitudes.
        features: `"coordinates"` ranks all C*H*W; `"pixels"` ranks H*W by the sum of magnitudes over channels.

    Returns:
        ranks (n, F) in `rank_dtype(F)`, less F // 2.
    """
    magnitude = magnitudes(scores, features)
    ranks = np.empty(magnitude.shape, dtype=rank_dtype(magnitude.shape[1]))
    step = max(1, AT_ONCE // magnitude.shape[1])
    for start in range(0, len(ranks), step):
        ranks[start : start + step] = _rank_few(magnitude[start : start + step], first + start, seed)
    return ranks


def magnitudes(scores: Tensor, features: Features = "coordinates") -> Tensor:
    """The magnitude of each feature, (n, F), from scores (n, C, H, W): of coordinates, or of pixels summed over channels."""
    return (scores.abs().sum(dim=1) if features == "pixels" else scores.abs()).flatten(1)


def _rank_few(magnitude: Tensor, first: int, seed: int) -> np.ndarray:
    bits = magnitude.float().contiguous().numpy().view(np.int32).astype(np.int64)
    count = bits.shape[1]
    width = max(1, (count - 1).bit_length())
    # One sortable number a feature: 31 bits of magnitude (floats above zero sort like integers), random bits, the feature.
    noise = np.stack([_random_bits(seed, first + row, count, 32 - width) for row in range(len(bits))])
    keys = ((0x7FFFFFFF - bits) << 32) | (noise << width) | np.arange(count)
    keys.sort(axis=1)
    order = keys & ((1 << width) - 1)
    ranks: np.ndarray = np.empty_like(order)
    np.put_along_axis(ranks, order, (np.arange(count) - count // 2)[None], axis=1)
    return ranks


def rank_dtype(count: int) -> np.dtype[Any]:
    """The smallest signed integer that holds `count` ranks centred on zero (torch cannot compare unsigned 16-bit ones)."""
    for name, size in (("int8", 2**8), ("int16", 2**16)):
        if count <= size:
            return np.dtype(name)
    return np.dtype("int32")


def kept_count(level: float, count: int) -> int:
    """How many of `count` features a level keeps: the nearest whole number, from 1 to count - 1."""
    return min(max(round(level * count), 1), count - 1)


def kept(ranks: Tensor, keep: int, side: str) -> Tensor:
    """Boolean (n, F): True where a feature is among the `keep` highest-ranked (`"top"`) or lowest-ranked (`"bottom"`)."""
    count = ranks.shape[1]
    return ranks < keep - count // 2 if side == "top" else ranks >= count - keep - count // 2


def _random_bits(seed: int, place: int, count: int, bits: int) -> np.ndarray:
    words = np.random.Generator(np.random.Philox(key=[seed, place])).integers(0, 1 << bits, count, dtype=np.uint32)
    return words.astype(np.int64)
