"""What LPIPS is shown, and the package's own networks; it is both a measure and a loss. Zhang et al. (2018)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradaudit.errors import MissingExtraError, require
from gradaudit.instruments.counterfactual.lacking import LackingError

SIDE = 32  # pixels; AlexNet's pooling has nothing left of smaller images
TRUNKS = {"alex": "alexnet-*", "vgg": "vgg16-*", "squeeze": "squeezenet1_1-*"}  # torchvision's weights, which LPIPS builds on


def pictures(images: Tensor) -> Tensor:
    """Images (N, C, H, W) in [0, 1] as LPIPS takes them: (N, 3, H, W) in [-1, 1], of 32 pixels a side or more."""
    height, width = (max(SIDE, side) for side in images.shape[2:])
    if (height, width) != tuple(images.shape[2:]):
        images = F.interpolate(images, (height, width), mode="bilinear", align_corners=False)
    return images.expand(-1, 3, -1, -1) * 2 - 1


@lru_cache(maxsize=2)  # loaded once, not once a batch
def package_network(name: str, device: torch.device) -> nn.Module:
    """The network of that name in the package `lpips`, on `device`.

    Raises:
        MissingExtraError: the package is not installed.
        LackingError: the network's weights are not on this machine; nothing is downloaded.
        InputError: another network.
    """
    require(name in TRUNKS, "network", name, f"one of {', '.join(TRUNKS)}, or a module")
    try:
        import lpips as package
    except ImportError as error:
        raise MissingExtraError("lpips", "lpips", "LPIPS") from error
    folder = Path(torch.hub.get_dir(), "checkpoints")
    if not any(folder.glob(TRUNKS[name])):
        raise LackingError(f"the weights of {name} are not in {folder}; nothing is downloaded unasked")
    module: Any = package.LPIPS(net=name, verbose=False)
    moved: nn.Module = module.to(device)
    return moved
