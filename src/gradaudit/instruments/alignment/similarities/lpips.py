"""The paper's measure: 1 - LPIPS of the two maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradaudit.batching import evaluating, placed
from gradaudit.classifiers.perceptual import AbsentWeightsError, enlarged, lpips_network
from gradaudit.errors import InputError
from gradaudit.instruments.alignment.similarities._maps import scaled


def lpips(gradients: Tensor, scores: Tensor, *, network: str | nn.Module = "alex") -> Tensor:
    """1 - LPIPS (N,), at most 1, of the maps divided by their largest magnitudes; grey ones are repeated to three channels.

    Maps of less than 32 pixels a side are enlarged to that. LPIPS: Zhang et al. (2018). As a measure of alignment: Srinivas,
    Bordt, Lakkaraju (2023), section 4.

    Args:
        gradients: floats (N, C, H, W), C of 1 or 3.
        scores: floats (N, C, H, W).
        network: what the package `lpips` calls `net`: `"alex"`, `"vgg"` or `"squeeze"`; or a module that takes two batches
            (N, 3, H, W) in [-1, 1] and returns N distances.

    Raises:
        InputError: another network, or one whose weights are not on this machine; nothing is downloaded.
        MissingExtraError: the package is not installed.
    """
    module = network if isinstance(network, nn.Module) else _package_network(network, gradients.device)
    first, second = (placed(module, enlarged(scaled(maps).float())) for maps in (gradients, scores))
    with evaluating(module), torch.no_grad():
        distances: Tensor = module(first, second)
    return 1 - distances.reshape(len(gradients)).to(gradients.device)


def _package_network(name: str, device: torch.device) -> nn.Module:
    try:
        return lpips_network(name, device)
    except AbsentWeightsError as error:
        raise InputError("network", name, f"a network of the package lpips whose weights are at hand ({error})") from error
