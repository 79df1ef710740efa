"""Midpoint steps along the probability flow."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import sqrt

from torch import Tensor


def dpm2(denoise: Callable[[Tensor, float], Tensor], noisy: Tensor, sigmas: list[float], fresh: Callable[[], Tensor]) -> Tensor:
    """The midpoint method, with the middle taken in log sigma; second order, two calls of the denoiser a step.

    Source: Lu et al. (2022), DPM-Solver, algorithm 1 (DPM-Solver-2 with r = 1/2), as Karras et al. (2022) restate it in
    appendix D.2.
    """
    for sigma, following in pairwise(sigmas):
        slope = (noisy - denoise(noisy, sigma)) / sigma
        if following > 0:
            middle = sqrt(sigma * following)
            half = noisy + (middle - sigma) * slope
            slope = (half - denoise(half, middle)) / middle
        noisy = noisy + (following - sigma) * slope
    return noisy
