"""Spearman's rank correlation over coordinates."""

from __future__ import annotations

import torch
from torch import Tensor

from gradaudit.instruments.alignment.similarities._maps import correlated


def rank_correlation(gradients: Tensor, scores: Tensor) -> Tensor:
    """Spearman's rho (N,) of the signed values over all coordinates, ties averaged; 0 where a map is constant.

    Args:
        gradients: floats (N, C, H, W).
        scores: floats (N, C, H, W).
    """
    first, second = (_ranks(maps.flatten(1)) for maps in (gradients, scores))
    return correlated(first - first.mean(1, keepdim=True), second - second.mean(1, keepdim=True))


def _ranks(rows: Tensor) -> Tensor:
    """The ranks of each row's values, from 0, equal values sharing the mean of theirs: double (N, F)."""
    values, places = rows.sort(dim=1)
    count = rows.shape[1]
    index = torch.arange(count, device=rows.device).expand_as(places)
    begins = torch.ones_like(values, dtype=torch.bool)  # whether a value is the first of its equals
    begins[:, 1:] = values[:, 1:] != values[:, :-1]
    first = index.where(begins, 0).cummax(dim=1).values
    last = index.where(begins.roll(-1, dims=1), count - 1).flip(1).cummin(dim=1).values.flip(1)
    return torch.empty_like(rows, dtype=torch.float64).scatter_(1, places, (first + last).double() / 2)
