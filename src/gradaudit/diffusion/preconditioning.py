"""A network made a denoiser: the preconditioning of EDM, with [-1, 1] inside and [0, 1] outside."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Preconditioned(nn.Module):
    """D(x; sigma) = c_skip x + c_out F(c_in x, c_noise), in which F sees inputs and targets of unit variance at any noise.

    Source: Karras et al. (2022), Elucidating the Design Space of Diffusion-Based Generative Models, equation 7 and table 1.

    Args:
        network: F, `(noisy, noise, labels) -> output`; labels from 0 to `classes`, the last for no class.
        classes: the number of classes.
        sigma_data: standard deviation of the images' pixels, scaled to [-1, 1].
    """

    def __init__(self, network: nn.Module, classes: int, sigma_data: float = 0.5) -> None:
        super().__init__()
        self.network = network
        self.classes = classes
        self.sigma_data = sigma_data

    def forward(self, noisy: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        """The denoised images, floats (N, C, H, W), in [0, 1] but for errors.

        Args:
            noisy: floats (N, C, H, W): images in [0, 1] plus noise.
            sigma: floats (N,), the noise's standard deviation in pixel values of [0, 1].
            labels: int64 (N,); `classes`, or None for all images, means no class.
        """
        if labels is None:
            labels = torch.full((len(noisy),), self.classes, device=noisy.device)
        x, sigma = 2 * noisy - 1, 2 * sigma
        deep, total = sigma[:, None, None, None], sigma[:, None, None, None].square() + self.sigma_data**2
        skip, out, scale = self.sigma_data**2 / total, self.sigma_data * deep / total.sqrt(), total.rsqrt()
        weights = next(self.network.parameters()).dtype
        inside = self.network((scale * x).to(weights), (sigma.log() / 4).to(weights), labels)
        denoised: Tensor = (skip * x + out * inside.to(x.dtype) + 1) / 2
        return denoised
