"""The mean and the deviation of the training images at each coordinate."""

from __future__ import annotations

import torch
from torch import Tensor

from gradaudit.images import ImageSet
from gradaudit.memory import at_most

CHUNK = 4096  # images at once
BYTES = 16  # for each number of an image: itself and its square, as 64-bit integers


def moments(train: ImageSet) -> tuple[Tensor, Tensor]:
    """The mean and the standard deviation over the images at each coordinate, float32 (C, H, W) each, in units of [0, 1]."""
    total, squares = (torch.zeros(train.shape, dtype=torch.int64) for _ in range(2))
    step = at_most(CHUNK, BYTES * train.images[0].numel())
    for start in range(0, len(train), step):
        part = train.images[start : start + step].long()
        total += part.sum(dim=0)
        squares += part.square().sum(dim=0)
    mean = total.double() / len(train)
    variance = (squares.double() / len(train) - mean.square()).clamp(min=0)
    return (mean / 255).float(), (variance.sqrt() / 255).float()
