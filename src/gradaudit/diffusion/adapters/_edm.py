"""Networks behind EDM's preconditioning as denoisers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gradaudit.diffusion.adapters._pixels import Pixels, per_image, require_sigma
from gradaudit.diffusion.adapters._variance_preserving import Network
from gradaudit.diffusion.denoiser import Denoiser
from gradaudit.errors import require
from gradaudit.files import fingerprint
from gradaudit.identity import identity


class EDMPreconditioned(nn.Module):
    """D(x; sigma) = c_skip x + c_out F(c_in x; ln(sigma) / 4); arguments as `edm_preconditioned` has them."""

    def __init__(
        self,
        network: Network | nn.Module,
        *,
        sigma_data: float,
        negated: bool,
        sigma_range: tuple[float, float],
        pixel_range: tuple[float, float],
    ) -> None:
        super().__init__()
        require(callable(network), "network", type(network).__name__, "a function or module (noisy, noise, labels) -> output")
        require(0 < sigma_data < math.inf, "sigma_data", sigma_data, "above 0")
        low, high = sigma_range
        require(0 <= low < high, "sigma_range", sigma_range, "(lowest, highest), at least 0")
        self.network = network
        self.sigma_data = sigma_data
        self.sign = -1.0 if negated else 1.0
        self.pixels = Pixels(*pixel_range)
        self.sigma_range = (low / self.pixels.width, high / self.pixels.width)

    def extra_repr(self) -> str:
        """All that decides its output beside the network's weights."""
        network = "" if isinstance(self.network, nn.Module) else f", function={fingerprint(*identity(self.network))[:16]}"
        return f"sigma_data={self.sigma_data}, sign={self.sign:g}, {self.pixels}, sigma_range={self.sigma_range}{network}"

    def forward(self, noisy: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        """The denoised images; as `Denoiser` calls it.

        Raises:
            InputError: a sigma outside the range.
        """
        require_sigma(sigma, *self.sigma_range)
        inner = sigma.detach().double() * self.pixels.width
        total = inner.square() + self.sigma_data**2
        skip, out = self.sigma_data**2 / total, self.sign * self.sigma_data * inner * total.rsqrt()
        images = self.pixels.inner(noisy)
        told = (inner.log() / 4).to(torch.promote_types(noisy.dtype, torch.float32))
        output = self.network(images * per_image(total.rsqrt(), noisy), told, labels)
        require(output.shape == noisy.shape, "network", tuple(output.shape), f"to return {tuple(noisy.shape)}")
        return self.pixels.outer(per_image(skip, noisy) * images + per_image(out, noisy) * output)


def edm_preconditioned(
    network: Network | nn.Module,
    *,
    sigma_data: float = 0.5,
    negated: bool = False,
    sigma_range: tuple[float, float] = (0.002, 80.0),
    pixel_range: tuple[float, float] = (-1.0, 1.0),
    shape: tuple[int, int, int] | None = None,
    classes: int = 0,
    description: dict[str, object] | None = None,
) -> Denoiser:
    """A denoiser of images in [0, 1] from a network that was trained with EDM's preconditioning.

    Source: Karras et al. (2022), Elucidating the Design Space of Diffusion-Based Generative Models, equation 7 and table 1.

    Args:
        network: F: `(scaled, noise, labels) -> output`: floats (N, C, H, W), ln(sigma) / 4 (N,), and int64 (N,) or None.
        sigma_data: the deviation of the data that its training assumed, in the network's pixel values.
        negated: whether F returns the negative, as v-prediction has it.
        sigma_range: the deviations that it can be asked for, in the network's pixel values.
        pixel_range: what the network was trained to see as black and white.
        shape: (C, H, W) of its images; None where any will do.
        classes: the number of classes; 0 for none.
        description: what it is, in JSON values.

    Raises:
        InputError: a bad deviation or range.
    """
    core = EDMPreconditioned(network, sigma_data=sigma_data, negated=negated, sigma_range=sigma_range, pixel_range=pixel_range)
    return Denoiser(core, shape=shape, classes=classes, description=description)
