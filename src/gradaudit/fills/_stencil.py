"""The stencil of linear imputation: a direct neighbour weighs 1/6, a diagonal one 1/12; in twelfths [1 2 1] across and down."""

from __future__ import annotations

import torch
from torch import Tensor

TOLERANCE = 2e-6  # largest difference of a pixel from its neighbours' mean; the error is some ten times that
SCALE = 12  # the system is solved in twelfths


def differences(x: Tensor, centre: Tensor, out: Tensor, spare: Tensor) -> Tensor:
    """12 (W x - D x) of (H, W, n), in `out`: [1 2 1], which is [1 1] twice, across and down, less the centre."""
    _doubled(x.movedim(1, 0), out.movedim(1, 0), spare.movedim(1, 0))
    _doubled(out, out, spare)
    return out.addcmul_(x, centre, value=-1)


def _doubled(x: Tensor, out: Tensor, pairs: Tensor) -> Tensor:
    """[1 2 1] along the first dimension, nothing beyond its ends, in `out`, which may be `x`."""
    pairs[0] = x[0]
    torch.add(x[:-1], x[1:], out=pairs[1:])
    last = pairs[-1] + x[-1]
    torch.add(pairs[:-1], pairs[1:], out=out[:-1])
    out[-1] = last
    return out


def centre_of(inside: Tensor) -> Tensor:
    """12 D, and what [1 2 1] counts of the centre itself: (H, W, 1), from ones (H, W, 1) inside the image."""
    return differences(inside, torch.zeros_like(inside), torch.empty_like(inside), torch.empty_like(inside))
