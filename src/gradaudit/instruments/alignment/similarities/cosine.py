"""The cosine of the angle between gradient and score."""

from __future__ import annotations

from torch import Tensor

from gradaudit.instruments.alignment.similarities._maps import correlated, scaled


def cosine(gradients: Tensor, scores: Tensor) -> Tensor:
    """The cosine (N,), from -1 to 1; 0 where a map is zero everywhere.

    Args:
        gradients: floats (N, C, H, W).
        scores: floats (N, C, H, W).
    """
    # Scaled first: the squares of a sure classifier's gradients would underflow.
    return correlated(scaled(gradients).flatten(1), scaled(scores).flatten(1))
