"""Gradient of the target's logit."""

from __future__ import annotations

from torch import Tensor, nn

from gradaudit.attributions.logit_gradient import logit_gradient


def logit(classifier: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """The gradient of the target's logit towards each image: float32 (N, C, H, W).

    The paper compares it with a class-conditional score. Srinivas, Bordt, Lakkaraju (2023), ImageNet-64.

    Args:
        classifier: images in [0, 1] to logits (N, K).
        images: floats (N, C, H, W).
        targets: int64 (N,), from 0 to K - 1.

    Raises:
        InputError: a shape, a dtype or a target is not as above; the classifier blocks gradients.
    """
    return logit_gradient(classifier, images, targets)
