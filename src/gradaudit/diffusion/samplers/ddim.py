"""Euler's steps along the probability flow."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from torch import Tensor


def ddim(denoise: Callable[[Tensor, float], Tensor], noisy: Tensor, sigmas: list[float], fresh: Callable[[], Tensor]) -> Tensor:
    """Euler's method on the probability flow, which is DDIM; first order, one call of the denoiser a step.

    Source: Song, Meng and Ermon (2021), Denoising Diffusion Implicit Models, equation 13; Karras et al. (2022), equation 4.
    """
    for sigma, following in pairwise(sigmas):
        slope = (noisy - denoise(noisy, sigma)) / sigma
        noisy = noisy + (following - sigma) * slope
    return noisy
