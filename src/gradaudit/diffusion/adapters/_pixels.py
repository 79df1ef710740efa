"""Between images in [0, 1] and the pixel values that a network was trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from gradaudit.errors import InputError, require


@dataclass(frozen=True)
class Pixels:
    """The values that stand for black and white inside; deviations scale with their distance."""

    black: float = -1.0
    white: float = 1.0

    def __post_init__(self) -> None:
        good = math.isfinite(self.black) and math.isfinite(self.white) and self.black < self.white
        require(good, "pixel_range", (self.black, self.white), "(black, white), finite, black below white")

    @property
    def width(self) -> float:
        """The inner deviation that a deviation of 1 in [0, 1] becomes."""
        return self.white - self.black

    def inner(self, images: Tensor) -> Tensor:
        """Images of [0, 1] in the network's values."""
        return self.black + self.width * images

    def outer(self, images: Tensor) -> Tensor:
        """The network's images in [0, 1]."""
        return (images - self.black) / self.width


def per_image(values: Tensor, like: Tensor) -> Tensor:
    """Values (N,) as (N, 1, 1, 1), in the dtype and on the device of the images."""
    return values.to(like)[:, None, None, None]


def require_sigma(sigma: Tensor, low: float, high: float) -> None:
    """Raise `InputError` for a deviation (N,) outside what the network was trained on; both in pixel values of [0, 1].

    A schedule in single precision is some 1e-4 off at its ends, so that much is let through.
    """
    outside = sigma[(sigma < low * (1 - 1e-3)) | (sigma > high * (1 + 1e-3))]
    expected = f"from {low:.4g} to {high:.4g}, the noise that this denoiser was trained on, in pixel values of [0, 1]"
    if len(outside):  # only then has it numbers to show: in forward mode, torch 2.6 can't read an empty one
        raise InputError("sigma", outside[:1].tolist(), expected)
