"""Networks of other libraries by name: `"timm:NAME"` and `"torchvision:NAME"`."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from torch import nn

from gradaudit.classifiers.normalisation import NORMALISATIONS, Normalisation, read_normalisation
from gradaudit.errors import InputError, MissingExtraError, first_line, require
from gradaudit.registry import Spec

LIBRARIES = ("timm", "torchvision")


def names_library(spec: Spec) -> bool:
    """Whether the spec names a network of another library."""
    library, colon, _ = spec.name.partition(":")
    return bool(colon) and library in LIBRARIES


def is_pretrained(spec: Spec) -> bool:
    """Whether the spec asks for the weights that the library publishes."""
    return names_library(spec) and spec.options.get("pretrained") is True


def library_network(spec: Spec, input_shape: tuple[int, int, int], classes: int, argument: str = "network") -> nn.Module:
    """The library's network, untrained unless the spec says `pretrained=true`.

    A pretrained network keeps the channels and classes that it was trained for; another gets those of `input_shape` and
    `classes`. Other options go to the library as they are.

    Raises:
        InputError: the library does not know the name or an option, or can't download the weights.
        MissingExtraError: the library is not installed.
    """
    library, _, name = spec.name.partition(":")
    # Numbers only: a text option could be a path or an address that the library would load from.
    plain = not spec.positional and all(isinstance(value, bool | int | float) for value in spec.options.values())
    require(plain, argument, str(spec), "given options by name that are numbers, true or false")
    options = {key: value for key, value in spec.options.items() if key != "pretrained"}
    make = _timm if library == "timm" else _torchvision
    try:
        return make(name, input_shape, classes, is_pretrained(spec), options)
    except (InputError, MissingExtraError):
        raise
    except (OSError, RuntimeError, ValueError, TypeError) as error:  # no connection, an unknown name, an unknown option
        raise InputError(argument, str(spec), f"a network that {library} can build ({first_line(error)})") from error


def library_normalisation(spec: Spec, network: nn.Module, channels: int) -> Normalisation | None:
    """The normalisation that the library's network was trained with: timm's own record, ImageNet's for torchvision.

    Raises:
        InputError: it is for another number of channels than the images have.
    """
    if spec.name.startswith("torchvision:"):
        return read_normalisation(NORMALISATIONS["imagenet"], channels)
    record: dict[str, Any] = getattr(network, "pretrained_cfg", None) or {}
    return read_normalisation((record["mean"], record["std"]), channels) if "mean" in record and "std" in record else None


def _timm(name: str, input_shape: tuple[int, int, int], classes: int, pretrained: bool, options: dict[str, Any]) -> nn.Module:
    timm = _library("timm", name)
    if not pretrained:
        options = {"in_chans": input_shape[0], "num_classes": classes} | options
    network: nn.Module = timm.create_model(name, pretrained=pretrained, **options)
    return network


def _torchvision(
    name: str, input_shape: tuple[int, int, int], classes: int, pretrained: bool, options: dict[str, Any]
) -> nn.Module:
    require(input_shape[0] == 3, "input_shape", input_shape, "of 3 channels for torchvision's networks")
    models = _library("torchvision.models", name)
    options = options if pretrained else {"num_classes": classes} | options
    network: nn.Module = models.get_model(name, weights="DEFAULT" if pretrained else None, **options)
    return network


def _library(module: str, name: str) -> ModuleType:
    library = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(library, library, f"`{library}:{name}`") from error
