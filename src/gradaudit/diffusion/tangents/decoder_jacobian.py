"""Tangent spaces of an autoencoder's manifold."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from gradaudit.diffusion.autoencoder import Autoencoder
from gradaudit.diffusion.tangents._bases import check_dimensions, span

ROWS = {"cpu": 384, "cuda": 8192}  # tangents that go through the decoder at once: what a CPU's caches hold


def decoder_jacobian(images: Tensor, source: Autoencoder, *, dimensions: int | None = None) -> Tensor:
    """Bases (n, T, F) of the span of the decoder's Jacobian at each image's latent.

    Srinivas et al. (2023). Forward mode: a Jacobian-vector product for each number of the latent, many at once, instead
    of a backward pass for each pixel.

    Args:
        images: floats (n, C, H, W) in [0, 1].
        source: the autoencoder.
        dimensions: T, the leading directions that are kept; the whole latent unless given.

    Raises:
        InputError: images of another shape, or more dimensions than the latent, or than the Jacobian's rank.
    """
    kept = source.latent if dimensions is None else dimensions
    kept = check_dimensions(kept, source.latent, "the autoencoder's latent")
    with torch.no_grad():
        jacobian = latent_jacobian(source, source.encode(images.to(next(source.parameters()).dtype)))
        return span(jacobian, kept, "the decoder's Jacobian")


def latent_jacobian(source: Autoencoder, latents: Tensor) -> Tensor:
    """The decoder's Jacobian (n, F, latent) at latents (n, latent)."""
    directions = torch.eye(source.latent, dtype=latents.dtype, device=latents.device)

    def column(direction: Tensor) -> Tensor:
        moved: Tensor = torch.func.jvp(source.decoder, (latents,), (direction.expand_as(latents),))[1]
        return moved.flatten(1)

    at_once = max(1, ROWS["cuda" if latents.is_cuda else "cpu"] // len(latents))
    with warnings.catch_warnings():  # torch's forward mode scripts its own formulas when first used, and warns of it
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated")
        columns: Tensor = torch.func.vmap(column, chunk_size=at_once)(directions)
    return columns.permute(1, 2, 0)
