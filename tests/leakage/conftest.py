"""Images of two blocks, one above the other, of which one is the signal; classifiers that look at one block alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import gradaudit as ga

SIDE = 6
SHAPE = (1, 2 * SIDE, SIDE)


def two_blocks(count: int = 40, seed: int = 0, *, position: str = "random", channels: int = 1, classes: int = 3) -> ga.ImageSet:
    """Noise everywhere; the signal mask covers the upper or the lower block."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, channels, *SHAPE[1:]), generator=generator, dtype=torch.uint8)
    labels = torch.arange(count) % classes
    upper = torch.rand(count, generator=generator) < 0.5 if position == "random" else torch.full((count,), position == "top")
    rows = torch.arange(2 * SIDE) < SIDE
    mask = (rows[None] == upper[:, None])[..., None].expand(-1, -1, SIDE).clone()
    return ga.ImageSet(images, labels, tuple("abcdefghij"[:classes]), mask)


def looking_at(part: str, *, channels: int = 1, classes: int = 3, seed: int = 0) -> nn.Sequential:
    """A linear classifier whose weights are 0 outside the `"top"` or the `"bottom"` block; for `"both"` nowhere."""
    torch.manual_seed(seed)
    linear = nn.Linear(channels * 2 * SIDE * SIDE, classes)
    weight = linear.weight.data.view(classes, channels, 2 * SIDE, SIDE)
    if part != "both":
        weight[:, :, slice(SIDE, None) if part == "top" else slice(None, SIDE)] = 0
    return nn.Sequential(nn.Flatten(), linear)


def network(seed: int = 0, channels: int = 1, classes: int = 3) -> nn.Sequential:
    """An untrained network whose gradients differ from image to image."""
    torch.manual_seed(seed)
    inputs = channels * 2 * SIDE * SIDE
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, 32), nn.Tanh(), nn.Linear(32, classes))


def scores_with(outside: list[int], images: ga.ImageSet, keep: int, seed: int = 0) -> Tensor:
    """Scores of which, for each image, so many of the `keep` highest lie outside the signal, and the others inside."""
    scores = torch.rand(images.images.shape, generator=torch.Generator().manual_seed(seed))
    for image, mask, count in zip(scores, images.signal_mask, outside, strict=True):
        (null,), (signal,) = ((~mask).flatten().nonzero(as_tuple=True), mask.flatten().nonzero(as_tuple=True))
        image.view(-1)[torch.cat([null[:count], signal[: keep - count]])] += 1
    return scores


class Blocks:
    """What tests take from this file."""

    side = SIDE
    shape = SHAPE
    images = staticmethod(two_blocks)
    looking_at = staticmethod(looking_at)
    network = staticmethod(network)
    scores_with = staticmethod(scores_with)


@pytest.fixture(scope="session", name="blocks")
def blocks_fixture() -> type[Blocks]:
    return Blocks
