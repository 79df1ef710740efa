"""A small convolutional network that learns fast."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from gradaudit.classifiers.activations import activation_factory
from gradaudit.classifiers.networks._checks import require_side
from gradaudit.errors import require, require_whole


def convnet(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    activation: str | Mapping[str, Any] = "relu",
    width: int = 32,
    batch_norm: bool = False,
) -> nn.Module:
    """Three 3x3 convolutions with 2x2 max-pooling and a linear layer; `width` channels, doubled twice."""
    require_side("convnet", input_shape, 8)
    require_whole("width", width, 1)
    require(isinstance(batch_norm, bool), "batch_norm", batch_norm, "true or false")
    act = activation_factory(activation)
    channels, height, width_in_pixels = input_shape
    layers: list[nn.Module] = []
    for out in (width, 2 * width, 4 * width):
        layers += _stage(channels, out, act, batch_norm)
        channels = out
    features = channels * (height // 8) * (width_in_pixels // 8)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, classes))


def _stage(channels: int, out: int, activation: Callable[[], nn.Module], batch_norm: bool) -> list[nn.Module]:
    # Pooling comes first: a rectifier gives the same after it, at a quarter of the cost.
    norm = [nn.BatchNorm2d(out)] if batch_norm else []
    return [nn.Conv2d(channels, out, 3, padding=1, bias=not batch_norm), nn.MaxPool2d(2), *norm, activation()]
