"""Blocks of similar images, of all classes alike, that are shown under one mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

CHUNK = 2048  # images that are projected at once
NUMBERS = 2**23  # of theirs at most; whatever memory is free, so that blocks do not depend on it


def alike(images: np.ndarray, labels: np.ndarray, size: int, seed: Sequence[int]) -> Tensor:
    """The images in blocks of this size, each of similar images whose classes are in the proportion of all.

    Blocked randomisation (Fisher, The Design of Experiments, 1935): where each mask meets images of every class that look alike, no
    mask meets one class more often than another by chance, and neither do the images on which it shows the same. Were masks drawn
    image by image, such coincidences among a few thousand pairs would be all that a network could learn of a mask, and it would.

    The images of each class are ordered by a tree of halves along random directions, the same for every class; blocks are images
    whose places in the orders of their classes are close.

    Args:
        images: uint8 (N, C, H, W).
        labels: int64 (N,).
        size: images in a block, from 1 to N.
        seed: of the directions.

    Returns:
        int64 (B, size); the last block takes its missing images from the first.
    """
    rng = np.random.default_rng([*seed, 2])
    depth = max(0, (len(images) // size).bit_length() - 1)
    places = np.empty(len(images))
    projected = _projections(images, depth, rng)
    for label in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == label))
        order = _by_halves(own, projected)
        places[order] = (np.arange(len(order)) + rng.random()) / len(order)
    order = np.argsort(places, kind="stable")
    count = -(-len(order) // size)
    return torch.from_numpy(np.resize(order, (count, size)))


def _by_halves(own: np.ndarray, projected: np.ndarray) -> np.ndarray:
    """The images in an order in which neighbours are alike: halved at the median, direction by direction."""
    parts = [own]
    for direction in projected.T:
        halved = []
        for part in parts:
            order = part[np.argsort(direction[part], kind="stable")]
            halved += [order[: len(order) // 2], order[len(order) // 2 :]]
        parts = halved
    return np.concatenate(parts)


def _projections(images: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Where the images lie along `count` random directions, those in which they differ more being likelier, (N, count)."""
    flat = images.reshape(len(images), -1)
    step = max(1, min(CHUNK, NUMBERS // flat.shape[1]))
    some = flat[rng.permutation(len(flat))[:step]].astype(np.float32)
    mean = some.mean(axis=0)
    # Random mixtures of images: directions with the images' own covariance.
    directions = (some - mean).T @ rng.standard_normal((len(some), count), dtype=np.float32)
    parts = [flat[start : start + step].astype(np.float32) @ directions for start in range(0, len(flat), step)]
    return np.concatenate(parts)
