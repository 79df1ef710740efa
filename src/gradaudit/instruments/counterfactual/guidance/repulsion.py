"""Away from the counterfactuals of an image that were found before."""

from __future__ import annotations

import torch
from torch import Tensor

from gradaudit.instruments.counterfactual.problem import Problem


def away_from_found(problem: Problem, images: Tensor) -> Tensor | None:
    """The direction (N, C, H, W) in which the L2 distance to the nearest counterfactual found before grows; None if none repels.

    Zero for an image that has none, or lies on it.

    Args:
        problem: with what was found, and how strongly it repels.
        images: floats (N, C, H, W).
    """
    if problem.found is None or problem.repulsion == 0:
        return None
    apart = images[:, None] - problem.found
    distances = torch.linalg.vector_norm(apart.flatten(2), dim=2).nan_to_num(nan=torch.inf)  # NaN where one failed
    nearest = apart[torch.arange(len(images), device=images.device), distances.argmin(dim=1)]
    away: Tensor = nearest.nan_to_num()
    return away
