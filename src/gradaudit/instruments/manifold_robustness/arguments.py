"""The arguments of `manifold_robustness`: brought to one form, and refused before any work where they are wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from gradaudit.errors import require
from gradaudit.images import ImageSet
from gradaudit.instruments.tangents import checked_bases, placed_like

# The paper's lengths, for images of 3x32x32 in [-1, 1], where everything is twice as long as in [0, 1].
PAPER_RADII, PAPER_FEATURES, PAPER_SCALE = (1.44, 2.64, 4.83, 8.86), 3072, 2.0

Bases = Callable[[slice, Tensor], Tensor]
"""From a slice of the images, and the images there (n, C, H, W), to their bases (n, T, F)."""


def paper_radii(features: int) -> tuple[float, ...]:
    """The paper's lengths, in proportion to the length of an image of so many features."""
    scale = math.sqrt(features / PAPER_FEATURES) / PAPER_SCALE
    return tuple(float(f"{length * scale:.3g}") for length in PAPER_RADII)


def resolve_bases(tangent_spaces: Any, images: ImageSet) -> Bases:
    """What gives the bases of a part of the images, checked as they come.

    Raises:
        InputError: neither a tensor (N, T, F), one basis an image, nor a function.
    """
    if callable(tangent_spaces) and not isinstance(tangent_spaces, Tensor):
        return lambda part, floats: checked_bases(tangent_spaces(floats), floats)
    count, features = len(images), images.images[0].numel()
    expected = f"floats ({count}, T, {features}), a basis for each image, or a function from images to such"
    good = isinstance(tangent_spaces, Tensor) and tangent_spaces.ndim == 3 and tangent_spaces.is_floating_point()
    require(good and tangent_spaces.shape[0] == count, "tangent_spaces", tangent_spaces, expected)
    for start in range(0, count, 256):
        part = slice(start, start + 256)
        checked_bases(tangent_spaces[part], images.floats(part))
    return lambda part, floats: placed_like(tangent_spaces[part], floats)
