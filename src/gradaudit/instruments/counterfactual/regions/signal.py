"""The region by what is known of the images."""

from __future__ import annotations

from torch import Tensor

from gradaudit.instruments.counterfactual.regions._asked import Asked, signal_of


def signal(asked: Asked) -> Tensor:
    """The part that carries the label: the images' signal mask.

    Raises:
        InputError: the images have none.
    """
    return signal_of(asked)
