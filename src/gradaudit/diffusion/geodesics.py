"""Paths between two latents that a decoder takes to short ways between two images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Decoder = Callable[[Tensor], Tensor]
LONGER, SHORTER = 1.2, 0.5  # how a descent's step changes after one that lowered the energy, and after one that did not


def latent_path(decoder: Decoder, start: Tensor, end: Tensor, *, steps: int, sweeps: int) -> Tensor:
    """Latents (n, steps + 1, L) from start to end: on the straight line, and by `sweeps` moved towards the geodesic.

    A sweep is one step of gradient descent on the path's energy in the decoded images, of all latents between the ends together:
    the gradient is smoothed by the inverse of the second difference along the path, which makes a step that of Newton's method
    where the decoder keeps lengths. A step that would not lower a path's energy is not taken, and the next one is half as long;
    each path has its own steps.

    Source: Zaher, Trzaskowski, Nguyen, Roosta (2024), Manifold Integrated Gradients; Shao, Kumar, Fletcher (2018), The Riemannian
    Geometry of Deep Generative Models, algorithm 1.

    Args:
        decoder: latents (n, L) to images (n, C, H, W), with constant weights.
        start: latents (n, L).
        end: likewise.
        steps: parts of the path, 1 or more.
        sweeps: 0 or more.
    """
    share = torch.linspace(0, 1, steps + 1, dtype=start.dtype, device=start.device)[1:-1, None]
    path = torch.cat([start[:, None], start[:, None] + share * (end - start)[:, None], end[:, None]], dim=1).detach()
    if sweeps == 0 or steps == 1:
        return path
    smooth = _second_difference(steps - 1).inverse().to(start)
    energy, slope = _descent(decoder, path)
    length = path_energy(torch.nn.Identity(), path) / energy.clamp(min=torch.finfo(torch.float64).tiny)
    for _ in range(sweeps):
        move = torch.einsum("st,ntl->nsl", smooth, slope[:, 1:-1]) / (2 * steps)
        trial = path.clone()
        trial[:, 1:-1] -= length.to(path)[:, None, None] * move
        lower, downhill = _descent(decoder, trial)
        better = lower < energy
        path, slope = (torch.where(better[:, None, None], new, old) for new, old in ((trial, path), (downhill, slope)))
        energy, length = torch.where(better, lower, energy), length * torch.where(better, LONGER, SHORTER)
    return path


def path_energy(decoder: Decoder, path: Tensor) -> Tensor:
    """The sum of the squared lengths of the decoded path's parts, over the share of the way that each is; float64 (n,).

    No path between the same ends has less than the square of the decoded straight line's length, which a geodesic of even speed in
    flat space has.

    Args:
        decoder: latents (n, L) to images.
        path: latents (n, T + 1, L).
    """
    decoded = decoder(path.flatten(0, 1)).reshape(*path.shape[:2], -1).double()
    energy: Tensor = (path.shape[1] - 1) * decoded.diff(dim=1).square().sum(dim=(1, 2))
    return energy


def _descent(decoder: Decoder, path: Tensor) -> tuple[Tensor, Tensor]:
    """The energy of each path, and its gradient with respect to the path."""
    leaf = path.detach().requires_grad_()
    energy = path_energy(decoder, leaf)
    (slope,) = torch.autograd.grad(energy.sum(), leaf)
    return energy.detach(), slope


def _second_difference(count: int) -> Tensor:
    beside = torch.ones(count - 1, dtype=torch.float64)
    return 2 * torch.eye(count, dtype=torch.float64) - torch.diag(beside, 1) - torch.diag(beside, -1)
