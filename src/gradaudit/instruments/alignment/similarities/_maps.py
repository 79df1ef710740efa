"""Maps brought to one scale: of a gradient and of a score only the direction counts."""

from __future__ import annotations

import torch
from torch import Tensor


def scaled(maps: Tensor) -> Tensor:
    """Each map (C, H, W) of (N, C, H, W) divided by its largest magnitude, in [-1, 1], double; a map of zeros stays one."""
    maps = maps.double()
    largest = maps.abs().amax(dim=(1, 2, 3), keepdim=True)
    return maps / largest.where(largest > 0, 1)


def correlated(first: Tensor, second: Tensor) -> Tensor:
    """The cosine (N,) of rows (N, F), double; 0 where a row is all zeros."""
    lengths = torch.linalg.vector_norm(first, dim=1) * torch.linalg.vector_norm(second, dim=1)
    cosines: Tensor = (first * second).sum(dim=1) / lengths.where(lengths > 0, 1)
    return cosines
