"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


def sgd(weights: Iterable[nn.Parameter], learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum 0.9; the weight decay is an L2 penalty.

    Args:
        weights: what is trained.
        learning_rate: above 0.
        weight_decay: 0 or more.
    """
    return torch.optim.SGD(weights, lr=learning_rate, momentum=0.9, nesterov=True, weight_decay=weight_decay, fused=True)
