"""Linear classifiers of two classes, whose robustness has a closed form, and images that keep clear of the box."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gradaudit as ga

SHAPE = (1, 6, 6)


def classifier(shape: tuple[int, int, int] = SHAPE, classes: int = 2, seed: int = 0, scale: float = 1.0) -> nn.Sequential:
    """A linear classifier whose logits are balanced at mid-grey."""
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], classes))
    weight = module[1].weight.data.mul_(scale)
    module[1].bias.data = -weight.sum(1) * 0.5
    return module


def greys(
    count: int, shape: tuple[int, int, int] = SHAPE, classes: int = 2, seed: int = 0, labels: Any = None, spread: int = 60
) -> ga.ImageSet:
    """Noise around mid-grey, labelled as the linear classifier says, but for every tenth image, unless labels are given."""
    generator = torch.Generator().manual_seed(seed + 1)
    images = torch.randint(128 - spread, 128 + spread, (count, *shape), generator=generator, dtype=torch.uint8)
    if labels is None:
        labels = classifier(shape, classes)(images.float() / 255).argmax(1)
        labels[::10] = (labels[::10] + 1) % classes
    return ga.ImageSet(images, labels, tuple("abcdefghij"[:classes]))


def margins(module: nn.Sequential, images: ga.ImageSet) -> Tensor:
    """The label's logit less the other's, (N,), in double precision."""
    logits = module.double()(images.floats().double())
    module.float()
    found: Tensor = (logits.gather(1, images.labels[:, None]) - logits.gather(1, 1 - images.labels[:, None]))[:, 0].detach()
    return found


def slope(module: nn.Sequential, norm: str) -> float:
    """How much the margin can fall for each unit of the radius: the dual norm of the difference of the weights."""
    difference = (module[1].weight[0] - module[1].weight[1]).detach().double()
    return float(difference.abs().sum() if norm == "linf" else difference.norm())


class Linear:
    """What tests take from this file."""

    shape = SHAPE
    classifier = staticmethod(classifier)
    images = staticmethod(greys)
    margins = staticmethod(margins)
    slope = staticmethod(slope)


@pytest.fixture(scope="session", name="linear")
def linear_fixture() -> type[Linear]:
    return Linear


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADAUDIT_STORE", str(tmp_path / "store"))
