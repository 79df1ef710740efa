"""A multilayer perceptron."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import nn

from gradaudit.classifiers.activations import activation_factory
from gradaudit.errors import require_whole


def mlp(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    activation: str | Mapping[str, Any] = "relu",
    width: int = 512,
    depth: int = 2,
) -> nn.Module:
    """A multilayer perceptron with `depth` hidden layers of `width` units."""
    require_whole("width", width, 1)
    require_whole("depth", depth, 1)
    act = activation_factory(activation)
    layers: list[nn.Module] = [nn.Flatten()]
    features = math.prod(input_shape)
    for _ in range(depth):
        layers += [nn.Linear(features, width), act()]
        features = width
    return nn.Sequential(*layers, nn.Linear(features, classes))
