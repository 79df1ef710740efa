"""Small images, and classifiers of which everything around an image can be written down."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

import gradaudit as ga

SIDE = 8


def drawn(count: int = 40, *, channels: int = 1, classes: int = 3, seed: int = 0) -> ga.ImageSet:
    """Noise, with labels that it says nothing of."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, channels, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    return ga.ImageSet(pixels, torch.arange(count) % classes, tuple("abcdefghijklmnop"[:classes]))


def linear(images: ga.ImageSet, seed: int = 0) -> nn.Sequential:
    """A linear classifier in double precision, whose weights are as large as noise of deviation 0.1 needs to matter."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(images.images[0].numel(), len(images.classes))).double()


class Sine(nn.Module):
    """As an activation, bent everywhere."""

    def forward(self, values: Tensor) -> Tensor:
        return values.sin()


def network(images: ga.ImageSet, seed: int = 0) -> nn.Sequential:
    """An untrained network that is bent where noise of deviation 0.1 leads."""
    torch.manual_seed(seed)
    made = nn.Sequential(nn.Flatten(), nn.Linear(images.images[0].numel(), 32), Sine(), nn.Linear(32, len(images.classes)))
    with torch.no_grad():
        made[1].weight *= 15
    return made


class Logits(nn.Module):
    """A classifier that is a function from flat images (N, F) to logits; it computes in double precision."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("one", torch.ones((), dtype=torch.float64))

    def forward(self, images: Tensor) -> Tensor:
        return self.function(images.flatten(1))


def against_zero(margin) -> Logits:
    """A classifier of two classes whose margin of the first over the second is that function of flat images."""

    def logits(flat: Tensor) -> Tensor:
        value = margin(flat)
        return torch.stack([value, torch.zeros_like(value)], dim=1)

    return Logits(logits)


@pytest.fixture(scope="session", name="made")
def made_fixture() -> SimpleNamespace:
    return SimpleNamespace(
        side=SIDE, drawn=drawn, linear=linear, network=network, Logits=Logits, against_zero=against_zero, options={"device": "cpu"}
    )
