"""Noise that belongs to an image: the same whatever else is in its batch, and wherever it stands there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gradaudit.errors import is_whole, require


def image_keys(images: Tensor, seed: int, purpose: str = "") -> list[int]:
    """A 128-bit key for each image, from the seed and the image's pixels; equal images get equal keys.

    Keys for another purpose are others: draws that meet in one computation must not repeat each other.

    Raises:
        InputError: `seed` is not a whole number.
    """
    require(is_whole(seed), "seed", seed, "a whole number")
    pixels = images.detach().to("cpu", torch.float32).contiguous().numpy()
    digests = (hashlib.blake2b(image.tobytes(), digest_size=16, key=f"{seed}{purpose}".encode()).digest() for image in pixels)
    return [int.from_bytes(digest, "little") for digest in digests]


def generators(images: Tensor, seed: int, purpose: str = "") -> list[np.random.Generator]:
    """A generator for each image, keyed by the seed, the image's pixels and what it is for."""
    return [np.random.Generator(np.random.Philox(key=key)) for key in image_keys(images, seed, purpose)]


def normal(sources: list[np.random.Generator], images: Tensor) -> Tensor:
    """Standard normal noise in the images' shape and on their device, float32, each image's from its own generator."""
    return _drawn(sources, images, lambda source, shape: source.standard_normal(shape, dtype=np.float32))


def uniform(sources: list[np.random.Generator], images: Tensor) -> Tensor:
    """Noise uniform on [0, 1) in the images' shape and on their device, float32, each image's from its own generator."""
    return _drawn(sources, images, lambda source, shape: source.random(shape, dtype=np.float32))


def _drawn(
    sources: list[np.random.Generator], images: Tensor, draw: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
) -> Tensor:
    shape = tuple(images.shape[1:])
    draws = [draw(source, shape) for source in sources]
    return torch.from_numpy(np.stack(draws) if draws else np.empty((0, *shape), np.float32)).to(images.device)
