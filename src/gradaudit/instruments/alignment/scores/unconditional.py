"""The score of the data, whatever their class."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def unconditional(score: Callable[[Tensor | None], Tensor], targets: Tensor) -> Tensor:
    """grad log p(x), floats (N, C, H, W).

    Args:
        score: gives the score for classes (N,), or for None whatever the class.
        targets: not used.
    """
    return score(None)
