"""Tiny images whose neighbours can be counted by hand, and worlds of Gaussians whose Bayes gradient is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import gradaudit as ga
from gradaudit.diffusion.mixture import GaussianMixture

SIDE = 8


def flat(levels: list[int], labels: list[int], names: str = "ab") -> ga.ImageSet:
    """Images of two pixels: the first of each grey level, the second black."""
    pixels = torch.zeros(len(levels), 1, 1, 2, dtype=torch.uint8)
    pixels[:, 0, 0, 0] = torch.tensor(levels, dtype=torch.uint8)
    return ga.ImageSet(pixels, torch.tensor(labels), tuple(names))


def mixture(places: int) -> GaussianMixture:
    """Two classes of Gaussians, one at each of so many quarters of the image: brighter there, and there alone the class differs."""
    generator = torch.Generator().manual_seed(0)
    signs = torch.randint(0, 2, (places, SIDE, SIDE), generator=generator, dtype=torch.float64) * 2 - 1
    quarters = torch.zeros(4, SIDE, SIDE, dtype=torch.float64)
    for place, (row, column) in enumerate(((0, 0), (4, 4), (0, 4), (4, 0))):
        quarters[place, row : row + 4, column : column + 4] = 1
    apart = 0.08 * signs * quarters[:places]
    means = 0.4 + torch.cat([0.2 * quarters[:places] + one for one in (apart, -apart)]).flatten(1)
    return GaussianMixture(means, torch.zeros(2 * places, 0, SIDE**2, dtype=torch.float64), (1, SIDE, SIDE), 2, 0.1, 0.1)


def linear(world: GaussianMixture) -> nn.Module:
    """The Bayes classifier of two classes with one Gaussian each, whose logits are linear."""
    apart = world.means[0] - world.means[1]
    layer = nn.Linear(SIDE**2, 2).double()
    layer.weight.data = torch.stack([apart, -apart]) / (2 * world.normal_std**2)
    middle = (world.means[0] + world.means[1]) / 2
    layer.bias.data = -layer.weight.data @ middle
    return nn.Sequential(nn.Flatten(), layer)


def network(seed: int = 0, classes: int = 2) -> nn.Module:
    """An untrained network whose gradients differ from image to image."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 32), nn.Tanh(), nn.Linear(32, classes))


def noise(images: ga.ImageSet, seed: int = 0) -> Tensor:
    """Maps that know nothing."""
    return torch.randn(len(images), *images.shape, generator=torch.Generator().manual_seed(seed))


class Made:
    """What tests take from this file."""

    flat = staticmethod(flat)
    mixture = staticmethod(mixture)
    linear = staticmethod(linear)
    network = staticmethod(network)
    noise = staticmethod(noise)


@pytest.fixture(scope="session", name="made")
def made_fixture() -> type[Made]:
    return Made
