"""LeNet-5 in its modern form."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import nn

from gradaudit.classifiers.activations import activation_factory
from gradaudit.classifiers.networks._checks import require_side


def lenet5(input_shape: tuple[int, int, int], classes: int, *, activation: str | Mapping[str, Any] = "relu") -> nn.Module:
    """LeNet-5 with 32 and 64 channels and max-pooling, as AdverTorch lays it out (Ding et al. 2019)."""
    require_side("lenet5", input_shape, 4)
    channels, height, width = input_shape
    act = activation_factory(activation)
    layers = OrderedDict[str, nn.Module](
        conv1=nn.Conv2d(channels, 32, 3, padding=1),
        act1=act(),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(32, 64, 3, padding=1),
        act2=act(),
        pool2=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        linear1=nn.Linear(64 * (height // 4) * (width // 4), 200),
        act3=act(),
        linear2=nn.Linear(200, classes),
    )
    return nn.Sequential(layers)
