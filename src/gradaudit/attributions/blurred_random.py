"""Control: random scores, smoothed."""

from __future__ import annotations

import torch
from scipy import ndimage
from torch import Tensor, nn

from gradaudit.attributions._control import control
from gradaudit.errors import require
from gradaudit.noise import generators, normal


@control(knows_images=False)
def blurred_random(
    classifier: nn.Module | None, images: Tensor, targets: Tensor | None, *, sigma: float = 2.0, seed: int = 0
) -> Tensor:
    """Control: standard normal noise under a Gaussian blur, each channel on its own, float32 (N, C, H, W).

    Smoothing alone often raises ROAR-type scores, though such a map knows nothing of classifier or image.

    Args:
        classifier: ignored.
        images: floats (N, C, H, W) in [0, 1].
        targets: ignored.
        sigma: standard deviation of the blur, in pixels.
        seed: of the noise, which depends on the image and the seed alone; equal images get equal scores.

    Raises:
        InputError: `sigma` is negative, or `seed` is not a whole number.

    Source: Song et al., "On pitfalls of RemOve-And-Retrain" (arXiv 2304.13836).
    """
    require(0 <= sigma < float("inf"), "sigma", sigma, "0 or more, in pixels")
    noise = normal(generators(images, seed), images).cpu().numpy()
    # Wrapped, since any other border would give the pixels there a spread of their own, and so a rank.
    blurred = ndimage.gaussian_filter(noise, sigma=(0, 0, sigma, sigma), mode="wrap")
    return torch.from_numpy(blurred).to(images.device)
