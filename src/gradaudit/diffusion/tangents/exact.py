"""Tangent spaces of a Gaussian mixture."""

from __future__ import annotations

from torch import Tensor

from gradaudit.diffusion.mixture import GaussianMixture
from gradaudit.errors import require


def exact(images: Tensor, source: GaussianMixture, *, dimensions: int | None = None) -> Tensor:
    """Bases (n, T, F) of the subspace of the component that most probably made each image.

    Args:
        images: floats (n, C, H, W) in [0, 1].
        source: a mixture with an intrinsic dimension.
        dimensions: T; the mixture's own, which is the only one allowed.

    Raises:
        InputError: isotropic components, or other dimensions than the mixture's.
    """
    own = source.intrinsic_dim
    require(dimensions in (None, own), "dimensions", dimensions, f"None or {own}, the mixture's own")
    return source.tangent_spaces(images)
