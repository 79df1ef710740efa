"""The loss that a denoiser is trained with."""

from __future__ import annotations

import torch
from torch import Tensor

from gradaudit.diffusion.preconditioning import Preconditioned


def denoising(
    model: Preconditioned,
    images: Tensor,
    labels: Tensor,
    *,
    log_mean: float = -1.2,
    log_std: float = 1.2,
    dropped: float = 0.1,
) -> Tensor:
    """The weighted mean squared error of denoised images, over noise levels drawn log-normally; about 1 before training.

    Source: Karras et al. (2022), section 5 and table 1 (loss weighting, noise distribution); Ho and Salimans (2022),
    Classifier-Free Diffusion Guidance, algorithm 1 (dropped labels).

    Args:
        model: the denoiser in training.
        images: floats (N, C, H, W) in [0, 1].
        labels: int64 (N,).
        log_mean: mean of ln sigma, for images in [-1, 1] (P_mean).
        log_std: standard deviation of ln sigma (P_std).
        dropped: probability with which an image's label gives way to the null class.
    """
    count, place = len(images), images.device
    sigma = (log_std * torch.randn(count, device=place) + log_mean).exp()
    labels = torch.where(torch.rand(count, device=place) < dropped, model.classes, labels)
    deviation = sigma / 2  # in pixel values of [0, 1]
    noisy = images + deviation[:, None, None, None] * torch.randn_like(images)
    error = 2 * (model(noisy, deviation, labels) - images)
    weight = (sigma.square() + model.sigma_data**2) / (sigma * model.sigma_data).square()
    loss: Tensor = (weight * error.square().mean(dim=(1, 2, 3))).mean()
    return loss
