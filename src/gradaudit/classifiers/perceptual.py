"""The networks of the package `lpips`, and what they are shown. Zhang et al. (2018)."""

from __future__ import annotations

import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradaudit.classifiers.libraries import tensors_alone
from gradaudit.errors import MissingExtraError, require

SIDE = 32  # pixels; AlexNet's pooling has nothing left of smaller images
TRUNKS = {  # torchvision's files, which LPIPS builds on and would download
    "alex": "alexnet-owt-7be5be79.pth",
    "vgg": "vgg16-397923af.pth",
    "squeeze": "squeezenet1_1-b8a52dc0.pth",
}


class AbsentWeightsError(Exception):
    """The weights of a trunk are not on this machine; the message says where they should lie."""


def enlarged(images: Tensor) -> Tensor:
    """Images (N, C, H, W) of three channels, and of 32 pixels a side or more."""
    height, width = (max(SIDE, side) for side in images.shape[2:])
    if (height, width) != tuple(images.shape[2:]):
        images = F.interpolate(images, (height, width), mode="bilinear", align_corners=False)
    return images.expand(-1, 3, -1, -1)


@lru_cache(maxsize=2)  # loaded once, not once a batch
def lpips_network(name: str, device: torch.device) -> nn.Module:
    """The network of that name in the package `lpips`, on `device`.

    Raises:
        InputError: there is no network of that name.
        MissingExtraError: the package is not installed.
        AbsentWeightsError: its trunk's weights are not on this machine; nothing is downloaded.
    """
    require(name in TRUNKS, "network", name, f"one of {', '.join(TRUNKS)}, or a module")
    try:
        import lpips as package
    except ImportError as error:
        raise MissingExtraError("lpips", "lpips", "LPIPS") from error
    folder = Path(torch.hub.get_dir(), "checkpoints")
    if not (folder / TRUNKS[name]).exists():
        told = f"the weights of {name} are not in {folder}, as torchvision's {TRUNKS[name]}; nothing is downloaded unasked"
        raise AbsentWeightsError(told)
    with warnings.catch_warnings(), tensors_alone():
        warnings.filterwarnings("ignore", category=UserWarning, module="torchvision")  # of words that lpips uses to it
        module: Any = package.LPIPS(net=name, verbose=False)
    moved: nn.Module = module.to(device)
    return moved
