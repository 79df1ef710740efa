"""The cosine of magnitudes: whether both lie at the same places, whichever way they point there."""

from __future__ import annotations

from torch import Tensor

from gradaudit.instruments.alignment.similarities.cosine import cosine


def magnitude_cosine(gradients: Tensor, scores: Tensor) -> Tensor:
    """The cosine (N,) of the magnitudes, from 0 to 1; its level by chance is far above 0.

    Of the similarities here it told good maps from bad ones best on planted maps (docs/answer.md).

    Args:
        gradients: floats (N, C, H, W).
        scores: floats (N, C, H, W).
    """
    return cosine(gradients.abs(), scores.abs())
