"""The standard objective."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


def standard(classifier: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of the labels.

    Args:
        classifier: images in [0, 1] to logits (N, K).
        images: floats (N, C, H, W) in [0, 1].
        labels: int64 (N,).
    """
    return F.cross_entropy(classifier(images), labels)
