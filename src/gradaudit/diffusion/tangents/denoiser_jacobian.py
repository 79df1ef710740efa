"""Tangent spaces of a denoiser's manifold."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from gradaudit.diffusion.denoiser import Denoiser, deviations
from gradaudit.diffusion.tangents._bases import check_dimensions, check_rank
from gradaudit.errors import require_whole
from gradaudit.noise import generators, normal
from gradaudit.training.objectives._second_order import SecondOrder

SPARE = 8  # directions beyond those kept, which make the leading ones converge (Halko et al., 2011, section 4.2)


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
    jacobian = Jacobian(source, images, levels)
    basis = _orthonormal(jacobian.products(start))
    for _ in range(iterations):
        basis = _orthonormal(jacobian.products(basis, transposed=True))
        basis = _orthonormal(jacobian.products(basis))
    # Rayleigh-Ritz: the leading directions within the span.
    turn, sizes, _ = torch.linalg.svd(jacobian.products(basis, transposed=True), full_matrices=False)
    check_rank(sizes, kept, "the denoiser's Jacobian")
    leading: Tensor = turn[:, :, :kept].mT @ basis
    return leading


def _orthonormal(rows: Tensor) -> Tensor:
    columns: Tensor = torch.linalg.qr(rows.mT).Q
    return columns.mT


class Jacobian:
    """The denoiser's Jacobian at each image, at its own sigma: a product with it costs a way back, after one way forward for all.

    Args:
        denoiser: asked for no class.
        images: floats (n, C, H, W).
        levels: their sigmas, (n,).
    """

    def __init__(self, denoiser: Denoiser, images: Tensor, levels: Tensor) -> None:
        self.inputs = images.detach().requires_grad_()
        layers = SecondOrder(self.inputs)
        # Attention's fused kernels have no second derivative.
        with sdpa_kernel(SDPBackend.MATH), torch.enable_grad(), layers:
            self.denoised = denoiser(self.inputs, levels)
        layers.wanted.inputs_alone = True

    @cached_property
    def back(self) -> tuple[Tensor, Tensor]:
        """J' u and u: linear in u, so that J v is the gradient of its product with v. Not every layer of a U-Net has a forward-mode
        derivative.
        """
        probe = torch.zeros_like(self.denoised, requires_grad=True)
        return torch.autograd.grad(self.denoised, self.inputs, probe, create_graph=True)[0], probe

    def products(self, rows: Tensor, transposed: bool = False) -> Tensor:
        """J r, or J' r where transposed, for each of the rows r (n, R, F) of each image."""
        output, by = (self.denoised, self.inputs) if transposed else self.back
        vectors = rows.reshape(*rows.shape[:2], *self.inputs.shape[1:]).unbind(dim=1)
        found = [torch.autograd.grad(output, by, one, retain_graph=True)[0] for one in vectors]
        return torch.stack(found, dim=1).reshape(rows.shape)
