"""The cosine, whichever way the gradient points."""

from __future__ import annotations

from torch import Tensor

from gradaudit.instruments.alignment.similarities.cosine import cosine


def absolute_cosine(gradients: Tensor, scores: Tensor) -> Tensor:
    """The magnitude of the cosine (N,), from 0 to 1; its level by chance is above 0.

    For `logit_sum`, whose sign means nothing: softmax does not see what is added to all logits.

    Args:
        gradients: floats (N, C, H, W).
        scores: floats (N, C, H, W).
    """
    return cosine(gradients, scores).abs()
