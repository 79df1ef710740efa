"""Small images, and classifiers whose answers under a mask can be written down."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import gradaudit as ga

SIDE = 8


def drawn(count: int = 40, *, channels: int = 1, classes: int = 3, seed: int = 0) -> ga.ImageSet:
    """Noise, with balanced labels that it says nothing of."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, channels, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    return ga.ImageSet(pixels, torch.arange(count) % classes, tuple("abcdefghij"[:classes]))


def linear(images: ga.ImageSet, seed: int = 0) -> nn.Sequential:
    """A linear classifier with weights drawn at random, in double precision."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(images.images[0].numel(), len(images.classes))).double()


def network(images: ga.ImageSet, seed: int = 0) -> nn.Sequential:
    """An untrained network whose gradients differ from image to image."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(images.images[0].numel(), 32), nn.Tanh(), nn.Linear(32, len(images.classes)))


def gradient(classifier: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """The logit's, in double precision."""
    images = images.detach().double().requires_grad_()
    (found,) = torch.autograd.grad(classifier(images).gather(1, targets[:, None]).sum(), images)
    return found.detach().float()


def input_times_gradient(classifier: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """The pixel's part of a linear logit, where the fill is black."""
    return (images.double() * gradient(classifier, images, targets)).float()


class OnePixel(nn.Module):
    """Reads the pixel in the middle alone: class 0 where it is dark, and class 1 where it is bright."""

    def forward(self, images: Tensor) -> Tensor:
        bright = images[:, 0, SIDE // 2, SIDE // 2] - 0.5
        return 20 * torch.stack([-bright, bright], dim=1)


def on_one_pixel(count: int = 60) -> tuple[ga.ImageSet, Tensor]:
    """Images whose label is whether their middle pixel is bright, and scores (N, 1, H, W) that lie on that pixel."""
    images = drawn(count, classes=2)
    pixels = images.images.clone()
    pixels[:, 0, SIDE // 2, SIDE // 2] = torch.where(images.labels == 1, 220, 30).to(torch.uint8)
    scores = torch.zeros(count, 1, SIDE, SIDE)
    scores[:, 0, SIDE // 2, SIDE // 2] = 1.0
    return ga.ImageSet(pixels, images.labels, images.classes), scores


class Made:
    """What tests take from this file."""

    side = SIDE
    drawn = staticmethod(drawn)
    linear = staticmethod(linear)
    network = staticmethod(network)
    gradient = staticmethod(gradient)
    input_times_gradient = staticmethod(input_times_gradient)
    OnePixel = OnePixel
    on_one_pixel = staticmethod(on_one_pixel)


@pytest.fixture(scope="session", name="made")
def made_fixture() -> type[Made]:
    return Made
