"""ResNet-18 with a stem for small images."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import nn

from gradaudit.classifiers.activations import activation_factory
from gradaudit.classifiers.networks._checks import require_side
from gradaudit.classifiers.networks._residual import he_initialised, projected_shortcut, stage
from gradaudit.errors import require_whole


def resnet18(
    input_shape: tuple[int, int, int], classes: int, *, activation: str | Mapping[str, Any] = "relu", width: int = 64
) -> nn.Module:
    """ResNet-18 for 32x32 images: a 3x3 stem of stride 1 without pooling (He et al. 2016), torchvision's key names."""
    require_side("resnet18", input_shape, 8)
    require_whole("width", width, 1)
    act = activation_factory(activation)
    layers = OrderedDict[str, nn.Module](
        conv1=nn.Conv2d(input_shape[0], width, 3, padding=1, bias=False),
        bn1=nn.BatchNorm2d(width),
        act1=act(),
        layer1=stage(width, width, 1, 2, act, projected_shortcut),
        layer2=stage(width, 2 * width, 2, 2, act, projected_shortcut),
        layer3=stage(2 * width, 4 * width, 2, 2, act, projected_shortcut),
        layer4=stage(4 * width, 8 * width, 2, 2, act, projected_shortcut),
        avgpool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(8 * width, classes),
    )
    return he_initialised(nn.Sequential(layers))
