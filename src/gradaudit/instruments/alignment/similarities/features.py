"""A perceptual similarity in the features of a network in hand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from gradaudit.batching import evaluating, placed
from gradaudit.classifiers import load_classifier
from gradaudit.errors import require
from gradaudit.instruments.alignment.similarities._maps import scaled


def features(gradients: Tensor, scores: Tensor, *, network: str | nn.Module, layers: Sequence[str] | None = None) -> Tensor:
    """1 - half the squared distance (N,), from -1 to 1, between unit-length activations, a mean over positions and layers.

    LPIPS without its learned weights: Zhang et al. (2018), equation 1 with w = 1. The maps are divided by their largest
    magnitudes and shown to the network as images around mid-grey.

    Args:
        gradients: floats (N, C, H, W).
        scores: floats (N, C, H, W).
        network: a module that takes such images in [0, 1], or what `load_classifier` reads, such as a `.safetensors` file.
        layers: names of submodules whose outputs are compared; all convolutions and linear layers but the last unless given.

    Raises:
        InputError: the network can't be loaded, there is no such layer, or none to compare; one that is not run.
    """
    shape = tuple(gradients.shape[1:])
    module = network if isinstance(network, nn.Module) else _loaded(network, _written(network), shape, gradients.device)
    pictures = placed(module, (torch.cat([scaled(gradients), scaled(scores)]) + 1) / 2)
    activations = _activations(module, pictures, _chosen(module, layers))
    agreements = [_agreement(*one.chunk(2)) for one in activations.values()]
    return torch.stack(agreements).mean(dim=0).to(gradients.device)


@lru_cache(maxsize=2)  # loaded once, not once a batch; again when the file changes
def _loaded(network: str, written: int, shape: tuple[int, int, int], device: torch.device) -> nn.Module:
    return load_classifier(network, input_shape=shape, device=device)


def _written(network: str) -> int:
    path = Path(network)
    return path.stat().st_mtime_ns if path.is_file() else 0


def _chosen(module: nn.Module, layers: Sequence[str] | None) -> list[str]:
    kinds = (nn.modules.conv._ConvNd, nn.Linear)
    usual = [name for name, part in module.named_modules() if isinstance(part, kinds)][:-1]
    chosen = usual if layers is None else list(layers)
    known = [name for name, _ in module.named_modules() if name]
    require(set(chosen) <= set(known), "layers", chosen, f"names among the network's submodules: {', '.join(known)}")
    require(len(chosen) > 0, "layers", layers, f"names of layers to compare, among {', '.join(known) or 'none'}")
    return chosen


def _activations(module: nn.Module, pictures: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}

    def keep(name: str) -> torch.utils.hooks.RemovableHandle:
        # A copy: an activation that works in place would change what its layer returned.
        return module.get_submodule(name).register_forward_hook(lambda _layer, _input, output: found.update({name: output.clone()}))

    handles = [keep(name) for name in layers]
    try:
        with evaluating(module), torch.no_grad():
            module(pictures)
    finally:
        for handle in handles:
            handle.remove()
    silent = sorted(set(layers) - found.keys())
    require(not silent, "layers", silent, "layers that the network runs")
    return found


def _agreement(first: Tensor, second: Tensor) -> Tensor:
    """1 - half the squared distance (N,) of activations at unit length over channels; those of length 0 stay so."""
    channels = 1 if first.ndim == 4 else -1  # a convolution's stand before its positions
    lengths = [torch.linalg.vector_norm(part, dim=channels) for part in (first, second)]
    product = lengths[0] * lengths[1]
    cosines = (first * second).sum(dim=channels) / product.where(product > 0, 1)
    silent = sum((length == 0).to(cosines) for length in lengths) / 2
    agreement: Tensor = (cosines + silent).reshape(len(first), -1).mean(dim=1).double()
    return agreement
