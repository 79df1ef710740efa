"""A linear classifier."""

from __future__ import annotations

import math

from torch import nn


def linear(input_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """One linear layer from pixels to logits: multinomial logistic regression."""
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), classes))
