"""CNN-A, a small convolutional network of the verification literature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from gradaudit.classifiers.activations import activation_factory
from gradaudit.classifiers.networks._checks import require_side


def cnn_a(input_shape: tuple[int, int, int], classes: int, *, activation: str | Mapping[str, Any] = "relu") -> nn.Module:
    """CNN-A of the verification literature: two 4x4 convolutions of stride 2 and two linear layers."""
    require_side("cnn_a", input_shape, 4)
    channels, height, width = input_shape
    act = activation_factory(activation)
    return nn.Sequential(
        nn.Conv2d(channels, 16, 4, stride=2, padding=1),
        act(),
        nn.Conv2d(16, 32, 4, stride=2, padding=1),
        act(),
        nn.Flatten(),
        nn.Linear(32 * (height // 4) * (width // 4), 100),
        act(),
        nn.Linear(100, classes),
    )
