"""Whether the change lies where the label does."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gradaudit.instruments.counterfactual.lacking import LackingError
from gradaudit.instruments.counterfactual.measures._evidence import Evidence


def outside_mask(evidence: Evidence) -> dict[str, Tensor]:
    """`outside_mask`, from 0 to 1: the share of the absolute change outside the mask; NaN for an image that did not change.

    Raises:
        LackingError: there is no mask.
    """
    if evidence.mask is None:
        raise LackingError("no mask of where the images carry their labels was given")
    changes = evidence.differences().sum(dim=1)
    total = changes.sum(dim=(1, 2))
    outside = (changes * ~evidence.mask.to(changes.device)).sum(dim=(1, 2))
    return {"outside_mask": torch.where(total > 0, outside / total.where(total > 0, 1.0), math.nan)}
