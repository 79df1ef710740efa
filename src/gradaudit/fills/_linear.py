"""The linear system in which every removed pixel is the weighted mean of its neighbours, solved for many planes at once.

With the weights W (1/6 for a direct neighbour, 1/12 for a diagonal one) and their sums D, which are below 1 at the border, it is
(D - W) x = 0 at the removed pixels: symmetric, and positive definite where a plane has any kept pixel. Conjugate gradients solve it
with the images in the last dimension, where a CPU adds neighbours fastest. No matrix is ever assembled.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from gradaudit.fills._multigrid import interpolated_large
from gradaudit.fills._stencil import SCALE, TOLERANCE, centre_of, differences

SPARSE = 0.05  # share of kept pixels below which holes are so large that the fast preconditioner repays its cost
LARGE = 2**14  # pixels of a plane, above which the holes can be so large that a multigrid cycle pays
EVERY = 3  # steps between looks at who is done
SHRINK = 0.75  # share of planes left, below which those that are done leave
DAMPING = 0.01  # stands for the kept pixels in the preconditioner; a third of their share is best, and any near it will do
AT_ONCE = {"cpu": 256, "cuda": 16384}  # planes; more overflow a CPU's caches

Precondition = Callable[[Tensor, Tensor, Tensor], Tensor]  # (residual, out, spare) -> out


def interpolated(planes: Tensor, known: Tensor) -> Tensor:
    """Planes (n, H, W) whose unknown pixels solve the system.

    Args:
        planes: floats (n, H, W), where the unknown pixels hold what the search starts from.
        known: boolean (n, H, W).
    """
    if planes[0].numel() > LARGE:
        return interpolated_large(planes, known)
    solved = planes.clone()
    shares = known.flatten(1).float().mean(dim=1)
    for group, sparse in ((shares < SPARSE, True), (shares >= SPARSE, False)):
        places, precondition = group.nonzero()[:, 0], _preconditioner(planes) if sparse else _as_it_is
        for chosen in torch.split(places, AT_ONCE["cuda" if planes.is_cuda else "cpu"]):
            if len(chosen):
                solved[chosen] = _conjugate_gradients(planes[chosen], known[chosen], precondition)
    return solved


def _conjugate_gradients(planes: Tensor, known: Tensor, precondition: Precondition) -> Tensor:
    """Hestenes and Stiefel's method, preconditioned; planes leave once they are solved."""
    x, free = planes.movedim(0, 2).contiguous(), (~known).movedim(0, 2).to(planes).contiguous()
    solved, places = x.clone(), torch.arange(len(planes), device=planes.device)
    q, spare = torch.empty_like(x), torch.empty_like(x)  # new memory in each step would cost as much as the sums
    centre = centre_of(torch.ones_like(x[:, :, :1]))
    tiny = torch.finfo(x.dtype).tiny
    r = differences(x, centre, q, spare).mul(free)
    p = precondition(r, q, spare).mul(free)
    rz = (r * p).sum(dim=(0, 1))
    for step in range(planes[0].numel()):
        if step % EVERY == 0:
            unsolved = torch.abs(r, out=spare).amax(dim=(0, 1)) > SCALE * TOLERANCE
            count = int(unsolved.sum())
            if count <= SHRINK * len(places):
                solved[:, :, places] = x
                if count == 0:
                    return solved.movedim(2, 0)
                x, r, p, free = (part[:, :, unsolved] for part in (x, r, p, free))
                q, spare = torch.empty_like(x), torch.empty_like(x)
                places, rz = places[unsolved], rz[unsolved]
            else:  # no step further for those that are done: rounding would lead them astray
                r.mul_(unsolved)
                p.mul_(unsolved)
                rz.mul_(unsolved)
        differences(p, centre, q, spare).mul_(free)  # less A p
        size = rz / torch.mul(p, q, out=spare).sum(dim=(0, 1)).neg_().clamp_(min=tiny)
        x.addcmul_(p, size)
        r.addcmul_(q, size)
        z = precondition(r, q, spare)
        z = z if z is r else z.mul_(free)
        before, rz = rz, torch.mul(r, z, out=spare).sum(dim=(0, 1))
        torch.addcmul(z, p, rz / before.clamp(min=tiny), out=p)
    solved[:, :, places] = x
    return solved.movedim(2, 0)


def _as_it_is(r: Tensor, out: Tensor, spare: Tensor) -> Tensor:
    return r


def _preconditioner(like: Tensor) -> Precondition:
    """The inverse of the system with no pixel known, but damped, by fast diagonalisation (Lynch, Rice and Thomas, 1964)."""
    rows, columns = (_modes(side, like.dtype, like.device) for side in like.shape[1:])
    gains = 12 / (1 - rows[0][:, None] * columns[0] + DAMPING)[:, :, None]

    def precondition(r: Tensor, out: Tensor, spare: Tensor) -> Tensor:
        spectrum = _along(rows[1].mT, columns[1].mT, r, out, spare).mul_(gains)
        return _along(rows[1], columns[1], spectrum, out, spare)

    return precondition


def _along(rows: Tensor, columns: Tensor, x: Tensor, out: Tensor, spare: Tensor) -> Tensor:
    """(H, W, n) multiplied by a matrix along H and one along W, in `out`, which may be `x`."""
    torch.mm(rows, x.flatten(1), out=spare.view(len(x), -1))
    return torch.bmm(columns.expand(len(x), -1, -1), spare, out=out)


@lru_cache(maxsize=8)
def _modes(side: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Values (side,) and vectors (side, side), as columns, of S v = value diag(S 1) v for S = [1 2 1]; v' diag(S 1) v = 1."""
    weights = 2 * np.eye(side) + np.eye(side, k=1) + np.eye(side, k=-1)
    values, vectors = scipy.linalg.eigh(weights, np.diag(weights.sum(axis=1)))
    return torch.from_numpy(values).to(device, dtype), torch.from_numpy(vectors).to(device, dtype)
