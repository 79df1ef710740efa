"""ResNet-56 for small images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from gradaudit.classifiers.networks._cifar_resnet import cifar_resnet


def resnet56(input_shape: tuple[int, int, int], classes: int, *, activation: str | Mapping[str, Any] = "relu") -> nn.Module:
    """ResNet-56 for CIFAR with option A shortcuts (He et al. 2016, section 4.2)."""
    return cifar_resnet("resnet56", input_shape, classes, activation, blocks=9)
