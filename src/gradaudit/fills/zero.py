"""Black where features were removed."""

from __future__ import annotations

from functools import partial

import torch

from gradaudit.fills._constant import constant
from gradaudit.fills._fill import Fill
from gradaudit.images import ImageSet


def zero(train: ImageSet) -> Fill:
    """0 at removed coordinates: hides the mask only where the background is 0 as well.

    Source: Shah, Jain and Netrapalli (2021), section 3.
    """
    return Fill(partial(constant, levels=torch.zeros(1)), exact=True)
