"""SmoothGrad: the mean gradient over noisy copies of the image."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradaudit.attributions._gradients import input_gradient
from gradaudit.errors import require, require_whole
from gradaudit.noise import generators, normal


def smoothgrad(
    classifier: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    samples: int = 25,
    noise: float = 0.15,
    of: str = "logit",
    squared: bool = False,
    seed: int = 0,
) -> Tensor:
    """The mean gradient over noisy copies of each image: float32 (N, C, H, W).

    Args:
        classifier: images in [0, 1] to logits (N, K).
        images: floats (N, C, H, W) in [0, 1].
        targets: int64 (N,), from 0 to K - 1.
        samples: noisy copies of each image.
        noise: standard deviation of the Gaussian noise, as a share of the range [0, 1]; copies are not clipped.
        of: the gradient's quantity, `"logit"`, `"loss"` or `"softmax"`.
        squared: take the mean of the squared gradients (SmoothGrad-Squared).
        seed: of the noise, which depends on the image and the seed alone.

    Raises:
        InputError: an option, a shape, a dtype or a target is not as above; the classifier blocks gradients.

    Source: Smilkov et al. (2017); squared: Hooker et al. (2019).
    """
    require_whole("samples", samples, 1)
    require(noise >= 0, "noise", noise, "0 or more")
    sources = generators(images, seed)
    total = torch.zeros_like(images, dtype=torch.float32)
    for _ in range(samples):
        gradient = input_gradient(classifier, images + noise * normal(sources, images), targets, of)
        total += gradient.square() if squared else gradient
    return total / samples
