"""torchmetrics' Inception network, where its weights are on this machine."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gradaudit.errors import MissingExtraError
from gradaudit.instruments.counterfactual.lacking import LackingError
from gradaudit.instruments.counterfactual.measures._evidence import in_batches

WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"  # as torch-fidelity names them


def inception_features(images: Tensor) -> Tensor:
    """The 2048 pooled features of FID's Inception network, float64 (N, 2048).

    Args:
        images: floats (N, C, H, W) in [0, 1]; grey ones are repeated to three channels.

    Raises:
        MissingExtraError: torchmetrics or torch-fidelity is not installed.
        LackingError: the weights are not on this machine; nothing is downloaded.
    """
    network = _network(images.device)
    pixels = images.mul(255).round().to(torch.uint8)
    return in_batches(network, pixels, lambda part: network(part.expand(-1, 3, -1, -1)).double())


@lru_cache(maxsize=1)
def _network(device: torch.device) -> nn.Module:
    for package in ("torchmetrics", "torch_fidelity"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "metrics", "FID")
    path = Path(torch.hub.get_dir(), "checkpoints", WEIGHTS)
    if not path.is_file():
        raise LackingError(f"Inception's weights are not at {path}; nothing is downloaded unasked")
    from torchmetrics.image.fid import NoTrainInceptionV3

    module: Any = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(path))
    placed: nn.Module = module.to(device)
    return placed
