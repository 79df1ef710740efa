"""Augmentation of a batch on its device; random draws come from torch's seeded state."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gradaudit.recipe_fields import Augment

PADDING = 4


def augmented(images: Tensor, augment: Augment) -> Tensor:
    """The images (N, C, H, W), each changed by itself.

    Args:
        images: any values; 0 is black.
        augment: `"none"`; `"flip"` mirrors every other image, left to right; `"crop-flip"` also moves each by up to 4 pixels each
            way and fills with black (a random crop after padding; He et al. 2016, section 4.2).
    """
    if augment == "none":
        return images
    return flipped(cropped(images) if augment == "crop-flip" else images)


def flipped(images: Tensor) -> Tensor:
    """Each image mirrored with probability 1/2."""
    mirrored = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    return torch.where(mirrored, images.flip(-1), images)


def cropped(images: Tensor) -> Tensor:
    """Each image moved by whole numbers of pixels drawn from -4 to 4, down and right; black where nothing was."""
    count, channels, height, width = images.shape
    place = images.device
    down, right = torch.randint(2 * PADDING + 1, (2, count, 1), device=place)
    rows = (down + torch.arange(height, device=place)).view(count, 1, height, 1)
    columns = (right + torch.arange(width, device=place)).view(count, 1, 1, width)
    image = torch.arange(count, device=place).view(count, 1, 1, 1)
    channel = torch.arange(channels, device=place).view(1, channels, 1, 1)
    return F.pad(images, (PADDING,) * 4)[image, channel, rows, columns]
