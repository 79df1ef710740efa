"""LPIPS as a loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradaudit.errors import InputError
from gradaudit.instruments.counterfactual.lacking import LackingError
from gradaudit.instruments.counterfactual.perceptual import package_network, pictures


def perceptual_network(network: str | nn.Module, device: torch.device) -> nn.Module:
    """The network that judges, with constant weights where it is the package's.

    Args:
        network: what the package `lpips` calls `net`: `"alex"`, `"vgg"` or `"squeeze"`; or a module that takes two batches
            (N, 3, H, W) in [-1, 1] and returns N distances.
        device: where the package's is put.

    Raises:
        InputError: another network, or one whose weights are not on this machine.
        MissingExtraError: the package is not installed.
    """
    if isinstance(network, nn.Module):
        return network
    try:
        return package_network(network, device).requires_grad_(False)
    except LackingError as error:
        raise InputError("network", network, f"one whose weights are at hand ({error})") from error


def perceptual_distances(network: nn.Module, images: Tensor, originals: Tensor) -> Tensor:
    """LPIPS between images in [0, 1], (N,), with a graph towards both."""
    distances: Tensor = network(pictures(images), pictures(originals))
    return distances.reshape(len(images))
