"""What LPIPS is shown of images, and its networks; it is both a measure and a loss. Zhang et al. (2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradaudit.classifiers.perceptual import AbsentWeightsError, enlarged, lpips_network
from gradaudit.instruments.counterfactual.lacking import LackingError


def pictures(images: Tensor) -> Tensor:
    """Images (N, C, H, W) in [0, 1] as LPIPS takes them: (N, 3, H, W) in [-1, 1], of 32 pixels a side or more."""
    return enlarged(images) * 2 - 1


def package_network(name: str, device: torch.device) -> nn.Module:
    """The network of that name in the package `lpips`, on `device`.

    Raises:
        MissingExtraError: the package is not installed.
        LackingError: the network's weights are not on this machine; nothing is downloaded.
        InputError: another network.
    """
    try:
        return lpips_network(name, device)
    except AbsentWeightsError as error:
        raise LackingError(str(error)) from error
