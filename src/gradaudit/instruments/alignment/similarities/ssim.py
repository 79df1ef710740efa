"""Structural similarity of the two maps."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from gradaudit.errors import MissingExtraError, require
from gradaudit.instruments.alignment.similarities._maps import scaled

PADDING = 5  # of the 11 x 11 window; reflecting it needs a larger image


def ssim(gradients: Tensor, scores: Tensor) -> Tensor:
    """SSIM (N,), at most 1, of the maps divided by their largest magnitudes; the mean over channels.

    Source: Wang, Bovik, Sheikh, Simoncelli (2004), with their 11 x 11 Gaussian window, by torchmetrics.

    Args:
        gradients: floats (N, C, H, W), H and W at least 6.
        scores: floats (N, C, H, W).

    Raises:
        InputError: the images are too small for the window.
        MissingExtraError: torchmetrics is not installed.
    """
    try:
        from torchmetrics.functional.image import structural_similarity_index_measure
    except ImportError as error:
        raise MissingExtraError("torchmetrics", "metrics", "SSIM") from error
    size = tuple(gradients.shape[2:])
    require(min(size) > PADDING, "similarity", "ssim", f"used on images of more than {PADDING} pixels a side; these are {size}")
    # By image, the maps' values going from -1 to 1.
    values: Any = structural_similarity_index_measure(scaled(gradients), scaled(scores), reduction="none", data_range=2.0)
    found: Tensor = values
    return found
