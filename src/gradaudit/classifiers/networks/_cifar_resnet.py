"""The family of residual networks for small images of He et al. (2016), section 4.2."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import nn

from gradaudit.classifiers.activations import activation_factory
from gradaudit.classifiers.networks._checks import require_side
from gradaudit.classifiers.networks._residual import PaddedShortcut, he_initialised, stage


def cifar_resnet(
    name: str, input_shape: tuple[int, int, int], classes: int, activation: str | Mapping[str, Any], blocks: int
) -> nn.Module:
    """6 * blocks + 2 layers: three stages of 16, 32 and 64 channels with parameter-free shortcuts (option A)."""
    require_side(name, input_shape, 4)
    act = activation_factory(activation)
    layers = OrderedDict[str, nn.Module](
        conv1=nn.Conv2d(input_shape[0], 16, 3, padding=1, bias=False),
        bn1=nn.BatchNorm2d(16),
        act1=act(),
        layer1=stage(16, 16, 1, blocks, act, PaddedShortcut),
        layer2=stage(16, 32, 2, blocks, act, PaddedShortcut),
        layer3=stage(32, 64, 2, blocks, act, PaddedShortcut),
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        linear=nn.Linear(64, classes),
    )
    return he_initialised(nn.Sequential(layers))
