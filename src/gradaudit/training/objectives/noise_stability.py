"""Noise-stability regularisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradaudit.training.objectives._checks import require_amount
from gradaudit.training.objectives._precision import at_least_fp32


def noise_stability(classifier: nn.Module, images: Tensor, labels: Tensor, *, strength: float = 1.0, std: float = 0.1) -> Tensor:
    """Mean cross-entropy, plus strength times the mean over images of the squared change of the logits under Gaussian noise.

    Srinivas et al. (2023). One draw of noise an image and step; pixels are not clamped.

    Args:
        classifier: images in [0, 1] to logits (N, K).
        images: floats (N, C, H, W) in [0, 1].
        labels: int64 (N,).
        strength: weight of the penalty, 0 or more.
        std: standard deviation of the noise, in pixel values of [0, 1]; 0 or more.

    Raises:
        InputError: an argument out of its range.
    """
    require_amount("strength", strength)
    require_amount("std", std)
    logits = classifier(images)
    loss = F.cross_entropy(logits, labels)
    if strength == 0 or std == 0:
        return loss
    noisy = classifier(images + std * torch.randn_like(images))
    change = at_least_fp32(noisy) - at_least_fp32(logits)
    return loss + strength * change.square().sum() / len(images)
