"""The paper's measure: 1 - LPIPS of the two maps."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradaudit.batching import evaluating, placed
from gradaudit.errors import InputError, MissingExtraError
from gradaudit.instruments.alignment.similarities._maps import scaled

SIDE = 32  # pixels; AlexNet's pooling has nothing left of smaller images


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
        InputError: the network's weights can't be had.
        MissingExtraError: the package is not installed.
    """
    module = network if isinstance(network, nn.Module) else _package_network(network, gradients.device)
    first, second = (placed(module, _pictures(maps)) for maps in (gradients, scores))
    with evaluating(module), torch.no_grad():
        distances: Tensor = module(first, second)
    return 1 - distances.reshape(len(gradients)).to(gradients.device)


def _pictures(maps: Tensor) -> Tensor:
    maps = scaled(maps).float()
    height, width = (max(SIDE, side) for side in maps.shape[2:])
    if (height, width) != tuple(maps.shape[2:]):
        maps = F.interpolate(maps, (height, width), mode="bilinear", align_corners=False)
    return maps.expand(-1, 3, -1, -1)


@lru_cache(maxsize=2)  # loaded once, not once a batch
def _package_network(name: str, device: torch.device) -> nn.Module:
    try:
        import lpips as package
    except ImportError as error:
        raise MissingExtraError("lpips", "lpips", "LPIPS") from error
    try:
        module: Any = package.LPIPS(net=name, verbose=False)
    except (OSError, NotImplementedError, AttributeError, AssertionError) as error:
        raise InputError("network", name, f"a network of the package lpips whose weights can be had ({error})") from error
    moved: nn.Module = module.to(device)
    return moved
