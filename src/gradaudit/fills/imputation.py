"""Noisy linear imputation: every removed pixel is about the mean of its neighbours."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gradaudit.errors import require
from gradaudit.fills._fill import Fill
from gradaudit.fills._linear import interpolated
from gradaudit.images import ImageSet
from gradaudit.noise import generators, normal


def imputation(train: ImageSet, *, noise: float = 0.01, seed: int = 0, device: torch.device | str = "cpu") -> Fill:
    """Removed pixels as the weighted means of their eight neighbours, removed ones among them, plus Gaussian noise.

    A direct neighbour weighs 1/6, a diagonal one 1/12, those outside the image nothing: a linear system for each channel. The noise
    is added to its solution. A channel of which nothing was kept becomes the training images' mean of the channel.

    Source: Rong, Leemann, Borisov, Kasneci and Kasneci (2022), A Consistent and Efficient Evaluation Strategy for Attribution
    Methods (ROAD), section 4.3 and appendix C.

    Args:
        train: whose mean stands in where nothing was kept.
        noise: its standard deviation, 0 or more, in pixel values of [0, 1]; the paper's code has 0.01.
        seed: of the noise, which depends on the seed, the kept values and their places alone.
        device: where it will be called.

    Raises:
        InputError: a noise that is not a finite number, 0 or more.
    """
    good = isinstance(noise, (int, float)) and not isinstance(noise, bool) and 0 <= noise < float("inf")
    require(good, "noise", noise, "a finite number, 0 or more, in pixel values of [0, 1]")
    levels = train.mean()
    function = partial(_impute, levels=levels.to(device), noise=float(noise), seed=seed)
    return Fill(function, (float(noise), levels, seed), costly=True)


def _impute(kept: Tensor, mask: Tensor, *, levels: Tensor, noise: float, seed: int) -> Tensor:
    work = kept.to(torch.promote_types(kept.dtype, torch.float32))
    empty = ~mask.flatten(2).any(dim=2)[:, :, None, None]
    # A level plane solves the system of an empty one, which has no other solution to prefer.
    planes = torch.where(empty, levels.to(work).view(-1, 1, 1), work).flatten(0, 1)
    filled = interpolated(planes, mask.flatten(0, 1)).view_as(kept)
    # Kept values alone, if few and black, are those of many images, which would share their noise.
    sources = generators(kept.masked_fill(~mask, -1.0), seed)
    return filled + noise * normal(sources, kept).to(filled) if noise else filled
