"""What a region is asked about."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gradaudit.attributions import Features, attribute_all, kept, kept_count, rank
from gradaudit.errors import InputError, require
from gradaudit.images import ImageSet

PIXELS: Features = "pixels"


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


def ranked(asked: Asked, attribution: str, share: float, side: str) -> Tensor:
    """The pixels that an attribution ranks highest, or lowest, boolean (N, H, W).

    Raises:
        InputError: no such attribution, or a share that is not above 0 and below 1.
    """
    require(isinstance(share, float) and 0 < share < 1, "region", share, "a share above 0 and below 1 of the pixels")
    scores = attribute_all(asked.classifier, asked.images, attribution, seed=asked.seed, device=asked.device)
    ranks = torch.from_numpy(rank(scores, 0, asked.seed, PIXELS))
    chosen = kept(ranks, kept_count(share, ranks.shape[1]), side)
    return chosen.view(len(asked.images), *asked.images.shape[1:])
