"""ResNet-4B, a small residual network without batch normalisation."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from gradaudit.classifiers.activations import activation_factory
from gradaudit.classifiers.networks._checks import require_side


class PlainBlock(nn.Module):
    """Two 3x3 convolutions with biases, added to a shortcut that is a 1x1 convolution where the stride is not 1."""

    def __init__(self, channels: int, width: int, stride: int, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1)
        self.act1 = activation()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = nn.Sequential(*([] if stride == 1 else [nn.Conv2d(channels, width, 1, stride)]))
        self.act2 = activation()

    def forward(self, inputs: Tensor) -> Tensor:
        """Features (N, width, H / stride, W / stride)."""
        return self.act2(self.conv2(self.act1(self.conv1(inputs))) + self.shortcut(inputs))  # type: ignore[no-any-return]


def resnet4b(input_shape: tuple[int, int, int], classes: int, *, activation: str | Mapping[str, Any] = "relu") -> nn.Module:
    """ResNet-4B of the verification competition (VNN-COMP 2021): four residual blocks, no batch normalisation."""
    require_side("resnet4b", input_shape, 8)
    channels, height, width = input_shape
    act = activation_factory(activation)
    layers = OrderedDict[str, nn.Module](
        conv1=nn.Conv2d(channels, 16, 3, stride=2, padding=1),
        act1=act(),
        layer1=nn.Sequential(PlainBlock(16, 32, 2, act), PlainBlock(32, 32, 1, act)),
        layer2=nn.Sequential(PlainBlock(32, 32, 2, act), PlainBlock(32, 32, 1, act)),
        flatten=nn.Flatten(),
        linear1=nn.Linear(32 * math.ceil(height / 8) * math.ceil(width / 8), 100),
        act2=act(),
        linear2=nn.Linear(100, classes),
    )
    return nn.Sequential(layers)
