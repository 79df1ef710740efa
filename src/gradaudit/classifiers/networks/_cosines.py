"""A first layer that needs no training: the cosine transform of small patches."""

from __future__ import annotations

import math
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 3


class CosineConv(nn.Module):
    """A constant 3x3 convolution by the lowest cosines over height, width and channels (DCT-II, orthonormal), and their negatives.

    These are close to the principal directions of the patches of photographs, to which airbench's whitening first layer is fitted
    (Jordan, 2024, 94% on CIFAR-10 in 3.29 seconds on a single GPU, section 3.2), but are the same for every masking of the images.

    Args:
        channels: of the images.
        width: output channels, half of them negatives, so that a rectifier loses nothing; even, at most 18 * channels.
    """

    weight: Tensor

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        cosines = lowest_cosines(channels, width // 2)
        self.register_buffer("weight", torch.cat([cosines, -cosines]))

    def forward(self, images: Tensor) -> Tensor:
        """Features (N, width, H, W) of images (N, channels, H, W)."""
        return F.conv2d(images, self.weight, padding=SIDE // 2)


def lowest_cosines(channels: int, count: int) -> Tensor:
    """The orthonormal cosines of lowest frequency, (count, channels, 3, 3).

    A step in frequency over the channels counts as two over the pixels: colours vary less than brightness.
    """
    over_channels, over_pixels = _cosines(channels), _cosines(SIDE)
    places = sorted(product(range(channels), range(SIDE), range(SIDE)), key=lambda place: 2 * place[0] + place[1] + place[2])
    parts = [(over_channels[c], over_pixels[row], over_pixels[column]) for c, row, column in places[:count]]
    return torch.stack([torch.einsum("c,y,x->cyx", *part) for part in parts])


def _cosines(count: int) -> Tensor:
    place = torch.arange(count)
    waves = torch.cos(math.pi / count * (place + 0.5) * place[:, None])
    return F.normalize(waves, dim=1)
