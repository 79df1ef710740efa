"""Gradient of the sum of all logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradaudit.batching import check_logits, frozen, placed


def logit_sum(classifier: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """The gradient of the sum of an image's logits towards that image: float32 (N, C, H, W).

    The paper compares it with an unconditional score. Srinivas, Bordt, Lakkaraju (2023), CIFAR-10.

    Args:
        classifier: images in [0, 1] to logits (N, K).
        images: floats (N, C, H, W).
        targets: not used: all classes count.

    Raises:
        InputError: the classifier does not return logits (N, K).
    """
    with frozen(classifier):
        inputs = placed(classifier, images).requires_grad_()
        (gradient,) = torch.autograd.grad(check_logits(classifier(inputs), images).sum(), inputs)
    return gradient.to(images.device, torch.float32)
