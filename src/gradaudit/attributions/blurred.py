"""Control: an attribution's own map, blurred."""

from __future__ import annotations

from typing import Any

import torch
from scipy import ndimage
from torch import Tensor, nn

from gradaudit.attributions._control import control, of_another
from gradaudit.attributions._resolve import made_of
from gradaudit.attributions._scores import checked
from gradaudit.errors import require


@of_another
@control(knows_images=None, needs_classifier=None, lacks=None)
def blurred(
    classifier: nn.Module, images: Tensor, targets: Tensor, *, of: Any = "logit_gradient", sigma: float = 1.0, seed: int = 0
) -> Tensor:
    """An attribution's magnitudes under a Gaussian blur, each channel on its own: float32 (N, C, H, W), 0 or more.

    A blur knows neither classifier nor images. A measure by which the blurred map does better rewards blur.

    Args:
        classifier: images in [0, 1] to logits (N, K).
        images: floats (N, C, H, W) in [0, 1].
        targets: int64 (N,), from 0 to K - 1.
        of: the attribution, as wherever one is named; with options in quotes, `of='smoothgrad(samples=50)'`.
        sigma: standard deviation of the blur, in pixels; the map goes on in its own reflection beyond the border.
        seed: of an attribution that draws.

    Raises:
        InputError: `of` is no attribution, or `sigma` is negative.

    Source: Song et al., "On pitfalls of RemOve-And-Retrain" (arXiv 2304.13836).
    """
    require(0 <= sigma < float("inf"), "sigma", sigma, "0 or more, in pixels")
    inner = made_of(of, seed)
    assert inner.function is not None
    magnitudes = checked(inner.function(classifier, images, targets), inner.name, images, 0).abs()
    smooth = ndimage.gaussian_filter(magnitudes.cpu().numpy(), sigma=(0, 0, sigma, sigma), mode="reflect")
    return torch.from_numpy(smooth).to(images.device)
