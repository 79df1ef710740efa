"""Images of one shape in blocks of another."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gradaudit.datasets.nulls import Shape

_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow converts colour to grey


def fitted(images: Tensor, shape: Shape) -> Tensor:
    """The images at the centre of black blocks, whole: those too large are made smaller, none is made larger.

    Args:
        images: uint8 (n, c, h, w), c of 1 or 3.
        shape: (C, H, W) of a block; colour becomes grey (luminance) for C of 1, grey is repeated for C of 3.
    """
    return _padded(_shrunk(_with_channels(images, shape[0]), *shape[1:]), *shape[1:])


def _with_channels(images: Tensor, channels: int) -> Tensor:
    if channels == 1 and images.shape[1] == 3:
        weights = torch.tensor(_LUMINANCE).reshape(3, 1, 1)
        return (images * weights).sum(dim=1, keepdim=True).round().to(torch.uint8)
    return images.expand(-1, channels, -1, -1)


def _shrunk(images: Tensor, height: int, width: int) -> Tensor:
    scale = min(height / images.shape[2], width / images.shape[3])
    if scale >= 1:
        return images
    sides = [max(1, round(scale * side)) for side in images.shape[2:]]
    smaller = F.interpolate(images.float(), size=sides, mode="bilinear", antialias=True)
    return smaller.round().clamp(0, 255).to(torch.uint8)


def _padded(images: Tensor, height: int, width: int) -> Tensor:
    free_height, free_width = height - images.shape[2], width - images.shape[3]
    top, left = free_height // 2, free_width // 2
    return F.pad(images, (left, free_width - left, top, free_height - top))
