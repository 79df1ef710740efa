"""Images for networks of other libraries, and files in the libraries' own formats, which these tests write."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import gradaudit as ga

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def photographs(side, count=4, classes=("cat", "dog")):
    """Smooth random pictures, whose labels say whether they are brighter at the left."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.uniform(0, 255, (count, 3, 5, 5))).float()
    pixels = nn.functional.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 255).to(torch.uint8)
    labels = torch.arange(count) % len(classes)
    pixels[labels == 0, :, :, : side // 2] //= 2
    return ga.ImageSet(pixels, labels, classes)


def lively(network, seed=0):
    """The network with weights that are nobody's initial values: heads at 0 and scales of 1e-6 would hide what lies behind."""
    torch.manual_seed(seed)
    for name, weight in network.named_parameters():
        if weight.ndim < 2 and not name.endswith("bias"):
            nn.init.uniform_(weight, 0.5, 1.5)
        elif not bool(weight.any()):
            nn.init.normal_(weight, std=0.05)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


def by_hand(network, images, normalisation):
    """The library's own logits of images in [0, 1]."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in normalisation)
    with torch.no_grad():
        output = network((images - mean) / std)
    return getattr(output, "logits", output)


@pytest.fixture(autouse=True)
def _offline(monkeypatch, tmp_path):
    """No test may reach a network, or the caches of whoever runs it."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("GRADAUDIT_STORE", str(tmp_path / "store"))
