"""Pairs of a Pillow image and a label, one after the other -> arrays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gradaudit.datasets.pictures import as_pixels
from gradaudit.errors import require
from gradaudit.progress import progress


def collect(
    name: str, pairs: Iterable[tuple[Any, Any]], count: int, size: int | None, channels: int | None
) -> tuple[Tensor, Tensor]:
    """Images uint8 (N, C, H, W) and labels (N,) of another library's data set.

    Args:
        name: the data set's, for progress and errors.
        pairs: `count` pairs of a Pillow image and an integer label.
        count: at least 1.
        size: side of the square to which images are resized and cropped; `None` where all have one size.
        channels: 1 or 3; `None` for what the first image has.

    Raises:
        InputError: something else than Pillow images, or images of several sizes and no `size`.
    """
    require(count > 0, "name_or_path", name, "a data set with images")
    require(size is None or (type(size) is int and size >= 1), "size", size, "a whole number of pixels, 1 or more")
    require(channels in (None, 1, 3), "channels", channels, "1 (grey) or 3 (colour)")
    labels = np.empty(count, np.int64)
    images = np.empty(0, np.uint8)
    with progress(f"reading {name}", count) as advance:
        for index, (picture, label) in enumerate(pairs):
            pillow = isinstance(picture, Image.Image)
            require(pillow, "name_or_path", name, f"a data set of Pillow images, not {type(picture).__name__}")
            pixels = as_pixels(picture, size, channels)
            if index == 0:
                channels, images = len(pixels), np.empty((count, *pixels.shape), np.uint8)
            expected = f"given: {name} has images of {images.shape[2:]} and of {pixels.shape[1:]} pixels"
            require(pixels.shape == images.shape[1:], "size", size, expected)
            images[index], labels[index] = pixels, label
            advance()
    return torch.from_numpy(images), torch.from_numpy(labels)
