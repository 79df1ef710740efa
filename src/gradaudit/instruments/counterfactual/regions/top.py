"""The region by an attribution's highest-ranked pixels."""

from __future__ import annotations

from torch import Tensor

from gradaudit.instruments.counterfactual.regions._asked import Asked, ranked


def top(asked: Asked, *, attribution: str = "logit_gradient", share: float = 0.2) -> Tensor:
    """The pixels that an attribution ranks highest.

    Args:
        asked: images and classifier.
        attribution: its spec; pixels are ranked by the sum of magnitudes over channels, for the label's class.
        share: of the pixels, above 0 and below 1.

    Raises:
        InputError: no such attribution, or a share out of its range.
    """
    return ranked(asked, attribution, share, "top")
