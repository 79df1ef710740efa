"""Single-patch deletion: does the attribution's sum over a patch foretell how much the target's logit drops without it?

Hesse, Schaub-Meyer and Roth (2024), Benchmarking the Attribution Quality of Vision Models, section 3 (IDSDS). There a fine-tuned
network is scored; here it is the audited one, whose removed patches are filled.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import stats
from torch import Tensor


def grid(side: int, shape: tuple[int, int, int]) -> Tensor:
    """The patches of a grid, boolean (P, H, W), True inside: `side` rows and columns of them, at most one a pixel.

    Where they don't divide the image evenly, they differ by a pixel.
    """
    rows, columns = (_bands(min(side, length), length) for length in shape[1:])
    return (rows[:, None, :, None] & columns[None, :, None, :]).flatten(0, 1)


def patch_sums(scores: Tensor, patches: Tensor) -> np.ndarray:
    """The signed sum of the scores (n, C, H, W) over each patch (P, H, W): floats (n, P)."""
    inside = patches.flatten(1).to(scores.device, torch.float64)
    return (scores.double().sum(dim=1).flatten(1) @ inside.mT).cpu().numpy()


def rank_correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each row of two arrays (n, P), ties at their mean rank; NaN for a row that is constant in one."""
    ranks = [stats.rankdata(one, axis=1) for one in (first, second)]
    centred = [one - one.mean(axis=1, keepdims=True) for one in ranks]
    norms = [np.sqrt((one**2).sum(axis=1)) for one in centred]
    with np.errstate(invalid="ignore"):
        found: np.ndarray = (centred[0] * centred[1]).sum(axis=1) / (norms[0] * norms[1])
    return found


def _bands(parts: int, length: int) -> Tensor:
    """Boolean (parts, length): consecutive stretches that cover the length."""
    return torch.arange(length)[None] * parts // length == torch.arange(parts)[:, None]
