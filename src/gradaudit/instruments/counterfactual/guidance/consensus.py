"""Consensus by place: the explained classifier's gradient where the helper's points the same way, and nothing elsewhere."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gradaudit.instruments.counterfactual.guidance.vectors import unit


def consensus(explained: Tensor, helper: Tensor, degrees: float) -> tuple[Tensor, Tensor]:
    """The direction to follow, (N, C, H, W), and the share of the places that are kept, (N,).

    A place is a pixel, with its channels as a vector. It is kept where the two gradients are within the angle there; with one
    channel, where their signs agree. The direction is the explained gradient's at length 1, less what is not kept: few places that
    are left don't get the whole step. A place where either is zero is not kept; but a helper that is zero everywhere has nothing
    to say, and all is kept.

    Source: Farid, Schrodi, Argus and Brox (2023), Latent Diffusion Counterfactual Explanations, section 3.3, in pixels.

    Args:
        explained: the explained classifier's gradients, floats (N, C, H, W).
        helper: the helper's, likewise.
        degrees: the largest angle at a place that is kept, from 0 to 90; the source has 40 to 55.
    """
    one, other = explained.double(), helper.double()
    products = (one * other).sum(dim=1, keepdim=True)
    lengths = one.norm(dim=1, keepdim=True) * other.norm(dim=1, keepdim=True)
    # Compared without a division or an arc cosine: neither zero nor rounding beyond 1 can let a place pass.
    kept = (lengths > 0) & (products >= math.cos(math.radians(degrees)) * lengths * (1 - 1e-12)) & (products > 0)
    kept = kept | (other == 0).all(dim=(1, 2, 3), keepdim=True)
    return torch.where(kept, unit(explained), 0.0), kept.flatten(1).double().mean(dim=1)
