"""Adam with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


def adamw(weights: Iterable[nn.Parameter], learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter, 2019, algorithm 2), whose steps do not grow with the loss.

    Args:
        weights: what is trained.
        learning_rate: above 0.
        weight_decay: 0 or more; decoupled from the gradient.
    """
    return torch.optim.AdamW(weights, lr=learning_rate, weight_decay=weight_decay, fused=True)
