"""The training images' mean where features were removed."""

from __future__ import annotations

from functools import partial

import torch

from gradaudit.fills._constant import constant
from gradaudit.fills._fill import Fill
from gradaudit.images import ImageSet


def mean(train: ImageSet, *, device: torch.device | str = "cpu") -> Fill:
    """The mean of each channel over all training images and pixels.

    Source: Hooker, Erhan, Kindermans and Kim (2019), A Benchmark for Interpretability Methods in Deep Neural Networks (ROAR),
    section 3.
    """
    levels = train.mean()
    return Fill(partial(constant, levels=levels.to(device)), (levels,), exact=True)
