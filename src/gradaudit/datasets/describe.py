"""What a data set is, in a few numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gradaudit.datasets.load import SOURCES
from gradaudit.images import ImageSet, in_parts


def data_sets() -> dict[str, str]:
    """The names that `load_images` knows, each with one line on it."""
    return {name.replace("_", "-"): SOURCES.summary(name) for name in SOURCES.names()}


def describe_images(images: ImageSet) -> dict[str, Any]:
    """The set in plain JSON values.

    The keys are `images` (their number), `shape` [C, H, W], `classes` (names), `counts` (images of each class, in that order),
    `mean` and `std` (a number a channel, over all images and pixels, in [0, 1]), `signal_mask` (is there one) and `fingerprint`.
    """
    mean, std = _moments(images)
    return {
        "images": len(images),
        "shape": list(images.shape),
        "classes": list(images.classes),
        "counts": torch.bincount(images.labels, minlength=len(images.classes)).tolist(),
        "mean": mean.tolist(),
        "std": std.tolist(),
        "signal_mask": images.signal_mask is not None,
        "fingerprint": images.fingerprint,
    }


def _moments(images: ImageSet) -> tuple[Tensor, Tensor]:
    # From the histogram of the 256 values: exact whatever the number of images, and one pass over a file on disk.
    counts = torch.zeros(images.shape[0], 256, dtype=torch.float64)
    for part in in_parts(images.images):
        for channel, values in enumerate(part.transpose(0, 1)):
            counts[channel] += torch.bincount(values.flatten(), minlength=256)
    share = counts / counts.sum(dim=1, keepdim=True)
    level = torch.arange(256, dtype=torch.float64) / 255
    mean = share @ level
    return mean, (share * (level - mean[:, None]) ** 2).sum(dim=1).sqrt()
