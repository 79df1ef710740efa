"""A small convolutional network whose first layer is constant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from gradaudit.classifiers.networks._checks import require_side
from gradaudit.classifiers.networks._cosines import CosineConv
from gradaudit.classifiers.networks.convnet import convnet
from gradaudit.errors import require, require_whole


def cosine_convnet(
    input_shape: tuple[int, int, int], classes: int, *, activation: str | Mapping[str, Any] = "relu", width: int = 16
) -> nn.Module:
    """The small convolutional network with batch norm and a constant first layer of cosines: fewer epochs, each cheaper."""
    require_side("cosine_convnet", input_shape, 8)
    require_whole("width", width, 1)
    most = 18 * input_shape[0]
    require(width % 2 == 0 and width <= most, "width", width, f"even, at most {most} for images of {input_shape[0]} channels")
    network = convnet(input_shape, classes, activation=activation, width=width, batch_norm=True)
    assert isinstance(network, nn.Sequential)
    network[0] = CosineConv(input_shape[0], width)
    return network
