"""Gaussian noise augmentation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradaudit.training.objectives._checks import require_amount


def noise(classifier: nn.Module, images: Tensor, labels: Tensor, *, std: float = 0.25) -> Tensor:
    """Mean cross-entropy at images with Gaussian noise, the training for randomized smoothing.

    Cohen et al. (2019), section 3.3. As there, noisy pixels are not clamped to [0, 1]: the certificate is for the Gaussian itself.

    Args:
        classifier: images in [0, 1] to logits (N, K).
        images: floats (N, C, H, W) in [0, 1].
        labels: int64 (N,).
        std: standard deviation of the noise, in pixel values of [0, 1]; 0 or more.

    Raises:
        InputError: `std` is out of its range.
    """
    require_amount("std", std)
    return F.cross_entropy(classifier(images + std * torch.randn_like(images)), labels)
