"""The regions by an attribution: its highest-ranked pixels, or its lowest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradaudit.attributions import Features, attribute_all, kept, kept_count, rank
from gradaudit.errors import require
from gradaudit.instruments.counterfactual.regions._asked import Asked
from gradaudit.options import Anything, Options, option

PIXELS: Features = "pixels"


@dataclass(frozen=True, kw_only=True)
class RankedOptions(Options):
    """The options of `top` and `bottom`."""

    attribution: str = option(
        "logit_gradient", Anything(), "its spec; pixels are ranked by the sum of magnitudes over channels, for the label's class"
    )
    share: float = option(0.2, Anything(), "of the pixels, above 0 and below 1")


def ranked(asked: Asked, options: RankedOptions, side: str) -> Tensor:
    """The pixels that an attribution ranks highest, or lowest, boolean (N, H, W).

    Raises:
        InputError: no such attribution, or a share that is not above 0 and below 1.
    """
    share = options.share
    require(isinstance(share, float) and 0 < share < 1, "region", share, "a share above 0 and below 1 of the pixels")
    scores = attribute_all(asked.classifier, asked.images, options.attribution, seed=asked.seed, device=asked.device)
    ranks = torch.from_numpy(rank(scores, 0, asked.seed, PIXELS))
    chosen = kept(ranks, kept_count(share, ranks.shape[1]), side)
    return chosen.view(len(asked.images), *asked.images.shape[1:])
