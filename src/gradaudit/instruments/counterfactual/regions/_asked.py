"""What a region is asked about."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gradaudit.errors import InputError
from gradaudit.images import ImageSet


@dataclass(frozen=True)
class Asked:
    """The images that are to change, and what explains.

    Args:
        classifier: the explained one.
        images: all of them.
        seed: of whatever an attribution draws, and of the order among equals.
        device: where to compute.
    """

    classifier: nn.Module
    images: ImageSet
    seed: int
    device: torch.device


def signal_of(asked: Asked) -> Tensor:
    """The images' signal mask, boolean (N, H, W).

    Raises:
        InputError: they have none.
    """
    if asked.images.signal_mask is None:
        raise InputError("region", "signal", "a mask of your own, or an attribution's top: these images have no signal mask")
    return asked.images.signal_mask
