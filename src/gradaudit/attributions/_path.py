"""The gradient integrated along a straight piece of a path: what path methods are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.attributions._completeness import Promise
from gradaudit.attributions._gradients import input_gradient, quantity_of


def from_the_baseline(classifier: nn.Module, images: Tensor, targets: Tensor, *, baseline: float, of: str, **_: Any) -> Promise:
    """What the scores of a path from a grey image add up to: the quantity at the image less that at the baseline."""
    reached, start = (quantity_of(classifier, points, targets, of) for points in (images, torch.full_like(images, baseline)))
    return Promise(reached - start, f"the {of} less that at the baseline", "take more steps")


def along_line(classifier: nn.Module, start: Tensor | float, end: Tensor, targets: Tensor, *, steps: int, of: str) -> Tensor:
    """The way from start to end times the mean gradient on it, float32 (N, C, H, W).

    Args:
        classifier: images in [0, 1] to logits (N, K).
        start: floats (N, C, H, W), or one grey level.
        end: floats (N, C, H, W).
        targets: int64 (N,).
        steps: points of the Gauss-Legendre quadrature.
        of: as `input_gradient` takes it, and raises.
    """
    difference = end - start
    total = torch.zeros_like(end, dtype=torch.float32)
    for place, weight in zip(*np.polynomial.legendre.leggauss(steps), strict=True):
        point = start + (1 + float(place)) / 2 * difference  # from [-1, 1] to [0, 1]
        total += float(weight) / 2 * input_gradient(classifier, point, targets, of)
    return total * difference.float()
