"""Linear classifiers of two classes, whose expected changes are integrals, and images around mid-grey."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import expit, gamma
from torch import Tensor, nn

import gradaudit as ga

SHAPE, FEATURES = (1, 5, 6), 30


def greys(count: int = 60, seed: int = 0) -> ga.ImageSet:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(60, 196, (count, *SHAPE), generator=generator, dtype=torch.uint8)
    return ga.ImageSet(pixels, torch.arange(count) % 2, ("a", "b"))


def bases(count: int = 60, dimensions: int = 4, seed: int = 1) -> Tensor:
    """Random orthonormal subspaces."""
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(count, FEATURES, dimensions, generator=generator)).Q.mT


def classifier(weight: Tensor | None = None, scale: float = 4.0) -> nn.Sequential:
    """Logits -m / 2 and m / 2 of a margin m = w (x - 1/2); w is random unless given."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(FEATURES, 2))
    if weight is None:
        weight = torch.randn(FEATURES, generator=torch.Generator().manual_seed(2))
    weight = scale * weight / weight.norm()
    module[1].weight.data = torch.stack([-weight, weight]) / 2
    module[1].bias.data = torch.tensor([1.0, -1.0]) * float(weight.sum()) / 4
    return module


def expected_change(margin: float, slope: float, dimensions: int) -> float:
    """The mean L1 change of softmax(0, m) when m moves by slope * u, u a coordinate of a uniform point of the unit sphere.

    That coordinate has the density c (1 - u^2)^((d - 3) / 2) (Archimedes' theorem, in d dimensions).
    """
    constant = gamma(dimensions / 2) / (np.sqrt(np.pi) * gamma((dimensions - 1) / 2))

    def integrand(u: float) -> float:
        density = constant * (1 - u**2) ** ((dimensions - 3) / 2)
        return float(density * 2 * abs(expit(margin + slope * u) - expit(margin)))

    return float(quad(integrand, -1, 0)[0] + quad(integrand, 0, 1)[0])


def expected_changes(module: nn.Sequential, images: ga.ImageSet, spaces: Tensor, radius: float) -> np.ndarray:
    """The exact changes, (2, N): on and off."""
    weight = (module[1].weight[1] - module[1].weight[0]).detach().double()
    margins = (module(images.floats())[:, 1] - module(images.floats())[:, 0]).detach().double()
    inside = torch.linalg.vector_norm(spaces.double() @ weight, dim=1)
    outside = (weight.square().sum() - inside.square()).clamp(min=0).sqrt()
    dimensions = spaces.shape[1]
    pairs = ((inside, dimensions), (outside, FEATURES - dimensions))
    return np.array(
        [[expected_change(float(m), radius * float(s), d) for m, s in zip(margins, slopes, strict=True)] for slopes, d in pairs]
    )


class Linear:
    """What tests take from this file."""

    features = FEATURES
    images = staticmethod(greys)
    bases = staticmethod(bases)
    classifier = staticmethod(classifier)
    expected = staticmethod(expected_changes)


@pytest.fixture(scope="session", name="linear")
def linear_fixture() -> type[Linear]:
    return Linear


@pytest.fixture(scope="session", name="measured")
def measured_fixture() -> Any:
    from gradaudit.instruments.manifold_robustness import manifold_robustness

    def measure(*arguments: Any, **options: Any) -> Any:
        return manifold_robustness(*arguments, **{"device": "cpu", "samples": 4} | options)

    return measure
