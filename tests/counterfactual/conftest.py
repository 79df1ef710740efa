"""Three classes of bright bars, a linear classifier of them, and a method whose outcome is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gradaudit as ga
from gradaudit.instruments.counterfactual import Problem, Solution
from gradaudit.noise import normal

CLASSES, SHAPE = ("top", "middle", "bottom"), (1, 6, 6)


def bars() -> Tensor:
    """The template of each class, (3, 1, 6, 6)."""
    found = torch.zeros(3, *SHAPE)
    for place in range(3):
        found[place, :, 2 * place : 2 * place + 2] = 0.8
    return found


class Bars(nn.Module):
    """Logits from the brightness of each bar; `order` says which bar speaks for which class."""

    def __init__(self, scale: float = 2.0, order: tuple[int, ...] = (0, 1, 2)) -> None:
        super().__init__()
        self.linear = nn.Linear(36, 3, bias=False)
        self.linear.weight.data = scale * bars()[list(order)].flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.linear(images.flatten(1))
        return logits


def towards(problem: Problem, *, share: float = 0.9, noise: float = 0.02) -> Solution:
    """A mix of the image and the target's bar, with noise of the image's own."""
    ends = bars()[problem.targets] + noise * normal(problem.sources(), problem.images)
    mixes = [((1 - part) * problem.images + part * ends).clamp(0, 1) for part in (0.0, share / 2, share)]
    pixels = torch.stack([(mix * 255).round().to(torch.uint8) for mix in mixes], dim=1)
    distance = torch.stack([(mix - problem.images).abs().sum(dim=(1, 2, 3)) for mix in mixes], dim=1)
    return Solution(mixes[-1], {"distance": distance}, pixels)


def drawn(count: int, seed: int = 0) -> ga.ImageSet:
    """Noisy bars, each class in turn; the classifier sees all of them right."""
    labels = torch.arange(count) % 3
    generator = torch.Generator().manual_seed(seed)
    pixels = bars()[labels] * 255 + torch.randint(0, 50, (count, *SHAPE), generator=generator)
    return ga.ImageSet(pixels.to(torch.uint8), labels, CLASSES)


class Toys:
    """What tests take from this file."""

    bars = staticmethod(bars)
    classifier = Bars
    towards = staticmethod(towards)
    images = staticmethod(drawn)


@pytest.fixture(scope="session", name="toys")
def toys_fixture() -> type[Toys]:
    return Toys


@pytest.fixture(name="change")
def change_fixture(tmp_path: Path) -> Any:
    """`counterfactual` of ten bars by the stand-in method, with a store of its own."""

    def run(classifier: nn.Module | None = None, images: Any = None, targets: Any = "second", **options: Any) -> Any:
        options = {"method": towards, "device": "cpu", "store": tmp_path / "store"} | options
        given = drawn(10) if images is None else images
        return ga.counterfactual(Bars() if classifier is None else classifier, given, targets, **options)

    return run
