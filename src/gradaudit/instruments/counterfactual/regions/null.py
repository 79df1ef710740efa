"""The region by what is known of the images."""

from __future__ import annotations

from torch import Tensor

from gradaudit.instruments.counterfactual.regions._asked import Asked, signal_of


def null(asked: Asked) -> Tensor:
    """All but the part that carries the label: no change there should be one of meaning.

    Raises:
        InputError: the images have none.
    """
    return ~signal_of(asked)
