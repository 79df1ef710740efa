"""Gradient of the target's softmax probability."""

from __future__ import annotations

from torch import Tensor, nn

from gradaudit.attributions._gradients import input_gradient


def softmax_gradient(classifier: nn.Module, images: Tensor, targets: Tensor, *, times_input: bool = False) -> Tensor:
    """The gradient of the target's softmax probability towards each image: float32 (N, C, H, W).

    Args:
        classifier: images in [0, 1] to logits (N, K).
        images: floats (N, C, H, W) in [0, 1].
        targets: int64 (N,), from 0 to K - 1.
        times_input: multiply by the image.

    Raises:
        InputError: a shape, a dtype or a target is not as above; the classifier blocks gradients.

    Source: Shah, Jain, Netrapalli (2021).
    """
    gradient = input_gradient(classifier, images, targets, "softmax")
    return gradient * images.float() if times_input else gradient
