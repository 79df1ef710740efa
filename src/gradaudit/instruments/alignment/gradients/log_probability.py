"""Gradient of the target's log probability."""

from __future__ import annotations

from torch import Tensor, nn

from gradaudit.attributions.loss_gradient import loss_gradient


def log_probability(classifier: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """The gradient of log p(target | x) towards each image: float32 (N, C, H, W).

    For a Bayes-optimal classifier it is the conditional score less the unconditional one.
    Srinivas, Bordt, Lakkaraju (2023), section 3.

    Args:
        classifier: images in [0, 1] to logits (N, K).
        images: floats (N, C, H, W).
        targets: int64 (N,), from 0 to K - 1.

    Raises:
        InputError: a shape, a dtype or a target is not as above; the classifier blocks gradients.
    """
    return -loss_gradient(classifier, images, targets)
