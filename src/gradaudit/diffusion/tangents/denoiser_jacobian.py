"""Tangent spaces of a denoiser's manifold."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from gradaudit.diffusion.denoiser import Denoiser, deviations
from gradaudit.diffusion.tangents._bases import check_dimensions, check_rank
from gradaudit.errors import require_whole
from gradaudit.noise import generators, normal

SPARE = 8  # directions beyond those kept, which make the leading ones converge (Halko et al., 2011, section 4.2)
ROWS = {"cpu": 64, "cuda": 1024}  # products with the Jacobian at once


def denoiser_jacobian(
    images: Tensor,
    source: Denoiser,
    *,
    dimensions: int | None = None,
    sigma: float = 0.25,
    iterations: int = 1,
    one_start: bool = False,
    seed: int = 0,
) -> Tensor:
    """Bases (n, T, F) of the leading left singular directions of the denoiser's Jacobian at each image.

    The Jacobian of an exact denoiser is the covariance of the clean images given the noisy one, over sigma^2: symmetric, and its
    leading directions are those in which the data vary most. Randomised subspace iteration: Halko, Martinsson and Tropp (2011),
    Finding Structure with Randomness, algorithm 4.4, with products alone.

    Args:
        images: floats (n, C, H, W) in [0, 1].
        source: the denoiser, asked for no class.
        dimensions: T; 16 unless given.
        sigma: noise at which the Jacobian is taken, in pixel values of [0, 1]; the manifold is seen at that scale.
        iterations: passes with the Jacobian and its transpose; more separate directions of more similar strength, at their price.
        one_start: the same random start for all images: for images that are themselves computed, whose rounding would change it.
        seed: of the random start, which belongs to the image unless there is but one.

    Raises:
        InputError: more dimensions than pixels or than the Jacobian's rank, or what the denoiser refuses.
    """
    features = images[0].numel()
    kept = check_dimensions(16 if dimensions is None else dimensions, features, "the number of pixels")
    require_whole("iterations", iterations, 1)
    levels = deviations(sigma, images)
    # The noise that is measured along these spaces has the same seed.
    sources = generators(torch.zeros_like(images) if one_start else images, seed, "start")
    width = min(kept + SPARE, features)
    start = torch.stack([normal(sources, images).flatten(1) for _ in range(width)], dim=1).to(images.dtype)
    basis = _orthonormal(products(source, images, levels, start))
    for _ in range(iterations):
        basis = _orthonormal(products(source, images, levels, basis, transposed=True))
        basis = _orthonormal(products(source, images, levels, basis))
    # Rayleigh-Ritz: the leading directions within the span.
    turn, sizes, _ = torch.linalg.svd(products(source, images, levels, basis, transposed=True), full_matrices=False)
    check_rank(sizes, kept, "the denoiser's Jacobian")
    leading: Tensor = turn[:, :, :kept].mT @ basis
    return leading


def _orthonormal(rows: Tensor) -> Tensor:
    columns: Tensor = torch.linalg.qr(rows.mT).Q
    return columns.mT


def products(denoiser: Denoiser, images: Tensor, levels: Tensor, rows: Tensor, transposed: bool = False) -> Tensor:
    """J r, or J' r where transposed, for each of the rows r (n, R, F) of each image, with its own Jacobian J at its own sigma."""
    width = rows.shape[1]
    where = torch.arange(len(images), device=images.device).repeat_interleave(width)
    flat = rows.reshape(-1, *images.shape[1:])
    at_once = ROWS["cuda" if images.is_cuda else "cpu"]
    # Attention's fused kernels have no second derivative.
    with sdpa_kernel(SDPBackend.MATH), torch.enable_grad():
        found = [
            _product(denoiser, images[part], levels[part], vectors, transposed)
            for part, vectors in zip(torch.split(where, at_once), torch.split(flat, at_once), strict=True)
        ]
    return torch.cat(found).reshape(rows.shape)


def _product(denoiser: Denoiser, images: Tensor, levels: Tensor, vectors: Tensor, transposed: bool) -> Tensor:
    inputs = images.detach().requires_grad_()
    denoised = denoiser(inputs, levels)
    if transposed:
        return torch.autograd.grad(denoised, inputs, vectors)[0]
    # J' u is linear in u, and J v the gradient of its product with v: not every layer of a U-Net has a forward-mode derivative.
    probe = torch.zeros_like(denoised, requires_grad=True)
    (back,) = torch.autograd.grad(denoised, inputs, probe, create_graph=True)
    return torch.autograd.grad(back, probe, vectors)[0]
