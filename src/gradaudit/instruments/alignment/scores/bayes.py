"""The gradient that a Bayes-optimal classifier would have."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from gradaudit.instruments.alignment.scores._marks import class_conditional


@class_conditional
def bayes(score: Callable[[Tensor | None], Tensor], targets: Tensor) -> Tensor:
    """grad log p(target | x) = grad log p(x | target) - grad log p(x), floats (N, C, H, W).

    Srinivas, Bordt, Lakkaraju (2023), section 3.

    Args:
        score: gives the score for classes (N,), or for None whatever the class.
        targets: int64 (N,).
    """
    return score(targets) - score(None)
