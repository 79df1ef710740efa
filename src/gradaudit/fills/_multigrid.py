"""The system of `_linear` for large planes, whose holes may be large too: a multigrid cycle preconditions conjugate gradients.

Some fifteen steps solve it whatever the holes (Briggs, Henson and McCormick, A Multigrid Tutorial, 2000), where without the cycle
their number grows with the holes' width. On every level the same stencil stands for the system, with a coarse pixel known where one
of its four is; a step's own rounding and tolerance are those of `_linear`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gradaudit.fills._stencil import SCALE, TOLERANCE, centre_of, differences

COARSEST = 4  # pixels a side at least
AT_ONCE = {"cpu": 2**18, "cuda": 2**26}  # pixels of all planes; more overflow a CPU's caches


@dataclass(frozen=True, eq=False)
class Level:
    """One grid: `free`, ones (n, H, W) where a pixel is unknown; `centre`, (1, H, W); `weights`, a Jacobi sweep's; and room."""

    free: Tensor
    centre: Tensor
    weights: Tensor
    spare: tuple[Tensor, Tensor]

    def differences(self, x: Tensor) -> Tensor:
        """12 (W x - D x) of (n, H, W), in this level's own room."""
        first, second = (one.movedim(0, 2) for one in self.spare)
        return differences(x.movedim(0, 2), self.centre, first, second).movedim(2, 0)


def interpolated_large(planes: Tensor, known: Tensor) -> Tensor:
    """Planes (n, H, W) whose unknown pixels solve the system; arguments as of `interpolated`."""
    solved = planes.clone()
    rows, columns = (_around((~known).any(dim=0).any(dim=side)) for side in (1, 0))
    inner, fixed = planes[:, rows, columns], known[:, rows, columns]
    if inner.numel():
        size = max(1, AT_ONCE["cuda" if planes.is_cuda else "cpu"] // inner[0].numel())
        parts = [_solved(*pair) for pair in zip(torch.split(inner, size), torch.split(fixed, size), strict=True)]
        solved[:, rows, columns] = torch.cat(parts)
    return solved


def _around(unknown: Tensor) -> slice:
    """From the first to the last place that is unknown, and one more on both sides."""
    places = unknown.nonzero()[:, 0]
    return slice(max(0, int(places[0]) - 1), int(places[-1]) + 2) if len(places) else slice(0, 0)


def _solved(planes: Tensor, known: Tensor) -> Tensor:
    """Conjugate gradients (Hestenes and Stiefel); planes that are solved are left alone."""
    height, width = planes.shape[1:]
    depth = max(0, int(math.log2(min(height, width) / COARSEST)))
    room = (0, -width % 2**depth, 0, -height % 2**depth)  # known and outside, so that every grid halves
    x, free, inside = (F.pad(one, room) for one in (planes, (~known).to(planes), torch.ones_like(planes[:1])))
    levels = _levels(free, inside, depth)
    weights = inside * (1 - free)
    # An empty plane is solved already; a start of zeros would cost the others three steps.
    x = torch.where(weights.amax(dim=(1, 2), keepdim=True) > 0, inside * _averages(x * weights, weights, depth), x)
    tiny = torch.finfo(x.dtype).tiny
    r = levels[0].differences(x) * free
    p, before = torch.zeros_like(x), torch.ones_like(x[:, :1, :1])
    for _ in range(x[0].numel()):
        unsolved = r.abs().amax(dim=(1, 2), keepdim=True) > SCALE * TOLERANCE
        if not unsolved.any():
            break
        z = _cycle(levels, r.mul_(unsolved))
        rz = (r * z).sum(dim=(1, 2), keepdim=True)
        p = torch.addcmul(z, p, rz / before.clamp(min=tiny)).mul_(unsolved)
        q, before = levels[0].differences(p).mul_(free), rz
        size = rz / (p * q).sum(dim=(1, 2), keepdim=True).neg_().clamp_(min=tiny)
        x.addcmul_(p, size)
        r.addcmul_(q, size)
    return x[:, :height, :width]


def _averages(sums: Tensor, counts: Tensor, depth: int) -> Tensor:
    """Means of what is known, of the smallest square of 1, 2, 4, ... pixels a side that has any; 0 where none has."""
    means = sums / counts.clamp(min=1)
    if depth == 0:
        return means
    return torch.where(counts > 0, means, _doubled(_averages(_halved(sums), _halved(counts), depth - 1)))


def _halved(x: Tensor) -> Tensor:
    """Sums of squares of two by two."""
    rows = x[:, 0::2] + x[:, 1::2]
    return rows[:, :, 0::2] + rows[:, :, 1::2]


def _doubled(x: Tensor) -> Tensor:
    """Each value four times, in a square."""
    return F.interpolate(x[:, None], scale_factor=2)[:, 0]


def _levels(free: Tensor, inside: Tensor, depth: int) -> list[Level]:
    found: list[Level] = []
    for _ in range(depth + 1):
        centre = centre_of(inside.movedim(0, 2))
        diagonal = (centre - 4).movedim(2, 0).clamp(min=1)  # the stencil counts 4 of a pixel itself
        found.append(Level(free, centre, free / diagonal, (torch.empty_like(free), torch.empty_like(free))))
        free, inside = 1 - F.max_pool2d(1 - free, 2), F.max_pool2d(inside, 2)
    return found


def _cycle(levels: Sequence[Level], r: Tensor) -> Tensor:
    """A V-cycle from zero, one Jacobi sweep before and after: symmetric, as conjugate gradients need it."""
    level, coarser = levels[0], levels[1:]
    z = r * level.weights
    if coarser:
        left = level.differences(z).add_(r).mul_(level.free)
        z.addcmul_(_doubled(_cycle(coarser, _halved(left))), level.free)
    return z.addcmul_(level.differences(z).add_(r), level.weights)
