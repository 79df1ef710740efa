"""A Gaussian mixture whose score and Bayes classifier are known, linear classifiers, and denoisers with a score to order."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import gradaudit as ga
from gradaudit.diffusion import Denoiser

SHAPE, CLASSES, STD = (1, 4, 5), 3, 0.15


class Mixture:
    """One isotropic Gaussian a class, all of one width."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.means = 0.5 + 0.3 * (torch.rand(CLASSES, *SHAPE, generator=generator, dtype=torch.float64) - 0.5)

    def images(self, count: int = 30, seed: int = 1) -> ga.ImageSet:
        generator = torch.Generator().manual_seed(seed)
        labels = torch.arange(count) % CLASSES
        drawn = self.means[labels] + STD * torch.randn(count, *SHAPE, generator=generator, dtype=torch.float64)
        return ga.ImageSet((drawn.clamp(0, 1) * 255).round().to(torch.uint8), labels, ("a", "b", "c"))

    def classifier(self, sigma: float) -> nn.Module:
        """Logits log p_sigma(x | k) up to a constant."""
        flat, variance = self.means.flatten(1), STD**2 + sigma**2
        linear = nn.Linear(flat.shape[1], CLASSES, dtype=torch.float64)
        # -|x - m|^2 / 2v: the part in |x|^2 is alike for all classes, so that softmax does not see it, but a logit's gradient does.
        linear.weight.data, linear.bias.data = flat / variance, -flat.square().sum(1) / (2 * variance)
        return nn.Sequential(nn.Flatten(), Quadratic(linear, variance))

    def denoiser(self) -> Denoiser:
        return Denoiser(Exact(self.means), shape=SHAPE, classes=CLASSES, description={"kind": "exact"})


class Quadratic(nn.Module):
    def __init__(self, linear: nn.Linear, variance: float) -> None:
        super().__init__()
        self.linear, self.variance = linear, variance

    def forward(self, flat: Tensor) -> Tensor:
        return self.linear(flat) - flat.square().sum(1, keepdim=True) / (2 * self.variance)


class Exact(nn.Module):
    def __init__(self, means: Tensor) -> None:
        super().__init__()
        self.register_buffer("means", means)

    def forward(self, noisy: Tensor, sigma: Tensor, labels: Tensor | None) -> Tensor:
        variance = (STD**2 + sigma.square())[:, None, None, None]
        if labels is not None:
            middle = self.means[labels]
        else:
            far = (noisy[:, None] - self.means).square().sum(dim=(2, 3, 4))
            middle = torch.einsum("nk,kchw->nchw", (-far / (2 * variance[:, 0, 0])).softmax(1), self.means)
        return middle + STD**2 / variance * (noisy - middle)


def linear_classifier(scale: float = 1.0, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Flatten(), nn.Linear(20, CLASSES))
    module[1].weight.data *= scale
    module[1].bias.data *= scale
    return module


def constant_score(direction: Tensor) -> Denoiser:
    """A denoiser whose score is that direction, whatever the image."""
    return Denoiser(lambda noisy, sigma, labels: noisy + sigma.square()[:, None, None, None] * direction, shape=SHAPE)


class Network(nn.Module):
    """A small smooth network, in double precision, whose gradient differs from image to image."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(80, CLASSES)).double()

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


@pytest.fixture(name="mixture", scope="session")
def mixture_fixture() -> Mixture:
    return Mixture()


@pytest.fixture(name="linear")
def linear_fixture() -> Callable[..., nn.Sequential]:
    return linear_classifier


@pytest.fixture(name="constant")
def constant_fixture() -> Callable[[Tensor], Denoiser]:
    return constant_score


@pytest.fixture(name="network")
def network_fixture() -> Network:
    return Network()
