"""The score of the data of one class."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from gradaudit.instruments.alignment.scores._marks import class_conditional


@class_conditional
def conditional(score: Callable[[Tensor | None], Tensor], targets: Tensor) -> Tensor:
    """grad log p(x | target), floats (N, C, H, W).

    Args:
        score: gives the score for classes (N,), or for None whatever the class.
        targets: int64 (N,).
    """
    return score(targets)
