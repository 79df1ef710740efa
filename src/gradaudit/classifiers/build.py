"""Networks by name, built from a spec, an input shape and a number of classes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gradaudit.classifiers.libraries import library_network, names_library
from gradaudit.devices import seeded
from gradaudit.errors import InputError, require, require_whole
from gradaudit.registry import Registry, Spec, imported, options_of, parse_spec

NETWORKS = Registry("gradaudit.classifiers.networks", "network")


@dataclass(frozen=True)
class NetworkDescription:
    """A network by name, its summary, its options with their defaults, and its number of parameters.

    `parameters` is None where the images are too small for the network.
    """

    name: str
    summary: str
    options: dict[str, Any]
    parameters: int | None


def build_network(
    network: str | Mapping[str, Any] | Spec,
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    seed: int | None = None,
    argument: str = "network",
) -> nn.Module:
    """A new, untrained network from images (N, C, H, W) to logits (N, classes).

    Args:
        network: a name with its options ("mlp", "mlp(width=256)"), a user's own as "package.module:factory", or another
            library's as "timm:NAME", "torchvision:NAME" or "transformers:FOLDER".
        input_shape: (C, H, W) of an image.
        classes: the number of classes, at least 2.
        seed: decides the initial weights, and leaves the caller's random state alone; None draws from the caller's.
        argument: the word for the network in errors.

    Raises:
        InputError: an unknown name or option, or images that are too small for the network.
        MissingExtraError: the library is not installed.
    """
    spec = parse_spec(argument, network)
    shape = read_input_shape(input_shape)
    require_whole("classes", classes, 2)
    with nullcontext() if seed is None else seeded(seed):
        if names_library(spec):
            return library_network(spec, shape, classes, argument).network
        if ":" in spec.name:
            return _own_network(spec, shape, classes, argument)
        built: nn.Module = NETWORKS.bind(argument, spec)(shape, classes)
        return built


def describe_networks(input_shape: tuple[int, int, int] = (1, 28, 28), classes: int = 10) -> list[NetworkDescription]:
    """Every network by name, with its number of parameters for images of `input_shape` (C, H, W) and `classes` classes."""
    return [
        NetworkDescription(
            name, NETWORKS.summary(name), options_of(NETWORKS.function("network", name)), _size(name, input_shape, classes)
        )
        for name in NETWORKS.names()
    ]


def build_shapes(network: str | Spec, input_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """A network of the registry without values: its tensors have shapes but take no memory."""
    with torch.device("meta"):
        return build_network(network, input_shape, classes)


def read_input_shape(input_shape: Any) -> tuple[int, int, int]:
    """(C, H, W) as a tuple of positive integers.

    Raises:
        InputError: it is not that.
    """
    shape = tuple(input_shape) if isinstance(input_shape, list | tuple | torch.Size) else ()
    whole = len(shape) == 3 and all(isinstance(side, int) and side > 0 for side in shape)
    require(whole, "input_shape", input_shape, "(channels, height, width), positive integers")
    channels, height, width = shape
    return channels, height, width


def _size(name: str, input_shape: tuple[int, int, int], classes: int) -> int | None:
    try:
        return sum(parameter.numel() for parameter in build_shapes(name, input_shape, classes).parameters())
    except InputError:
        return None


def _own_network(spec: Spec, input_shape: tuple[int, int, int], classes: int, argument: str) -> nn.Module:
    own = imported(argument, spec.name)
    if isinstance(own, nn.Module):
        return own
    require(callable(own), argument, str(spec), "an nn.Module, or a function or class that makes one")
    first = (input_shape, classes) if _takes_shape(own, spec, argument) else ()
    built: object = own(*first, *spec.positional, **spec.options)
    if not isinstance(built, nn.Module):
        raise InputError(argument, str(spec), f"something that makes an nn.Module; it made a {type(built).__name__}")
    return built


def _takes_shape(own: Callable[..., object], spec: Spec, argument: str) -> bool:
    """Whether a factory takes (input_shape, classes) first: by their names, or by needing two arguments."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    words = [word for word in inspect.signature(own).parameters.values() if word.kind in positional]
    if [word.name for word in words[:2]] == ["input_shape", "classes"]:
        return True
    needed = [word.name for word in words if word.default is word.empty and word.name not in spec.options]
    needed = needed[len(spec.positional) :]
    expected = f"callable with no arguments or with (input_shape, classes); it needs {', '.join(needed)}"
    require(len(needed) in (0, 2), argument, str(spec), expected)
    return len(needed) == 2
