"""Heun's steps along the probability flow, with fresh noise where asked."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import sqrt

from torch import Tensor

from gradaudit.errors import require


def heun(
    denoise: Callable[[Tensor, float], Tensor],
    noisy: Tensor,
    sigmas: list[float],
    fresh: Callable[[], Tensor],
    *,
    churn: float = 0.0,
) -> Tensor:
    """Heun's method on the probability flow; second order, two calls of the denoiser a step.

    Source: Karras et al. (2022), algorithm 1; with `churn` (S_churn), algorithm 2 with S_noise 1 at all noise levels but
    the first.
    """
    require(churn >= 0, "churn", churn, "at least 0")
    gamma = min(churn / (len(sigmas) - 1), sqrt(2) - 1)
    for sigma, following in pairwise(sigmas):
        # Temporarily increase the noise level.
        raised = min(sigma * (1 + gamma), sigmas[0])  # no noisier than the start, which a denoiser need not know
        if raised > sigma:
            noisy = noisy + sqrt(raised**2 - sigma**2) * fresh()
        slope = (noisy - denoise(noisy, raised)) / raised
        moved = noisy + (following - raised) * slope
        if following > 0:
            # Apply the second-order correction.
            again = (moved - denoise(moved, following)) / following
            moved = noisy + (following - raised) * (slope + again) / 2
        noisy = moved
    return noisy
