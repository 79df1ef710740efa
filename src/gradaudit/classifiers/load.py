"""A classifier from a name, a file, a user's factory, another library, or a module."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gradaudit.classifiers.build import NETWORKS, build_network, read_input_shape
from gradaudit.classifiers.checkpoints import SUFFIXES, fitting_networks, load_weights, other_classes, read_checkpoint
from gradaudit.classifiers.class_names import named
from gradaudit.classifiers.libraries import brings_weights, library_network, names_library
from gradaudit.classifiers.normalisation import NormalisationLike, normalised, read_normalisation
from gradaudit.classifiers.saving import find_metadata
from gradaudit.devices import resolve_device
from gradaudit.errors import InputError, require
from gradaudit.registry import Spec, parse_spec
from gradaudit.zoo import PREFIX, zoo_file

INPUT_SHAPE, CLASSES = (1, 28, 28), 10
ClassifierLike = str | os.PathLike[str] | Mapping[str, Any] | Spec | nn.Module


def load_classifier(
    classifier: ClassifierLike,
    weights: str | os.PathLike[str] | None = None,
    *,
    input_shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
    normalisation: NormalisationLike = None,
    allow_pickle: bool = False,
    device: str | torch.device | None = None,
) -> nn.Module:
    """A classifier in evaluation mode: a module from images in [0, 1], (N, C, H, W), to logits (N, K).

    Args:
        classifier: one of

            - the name of a network with its options, such as "lenet5" or "mlp(width=256)", with `weights`;
            - a `.safetensors` file that `save_classifier` wrote, which needs nothing else;
            - "zoo:mnist/standard" or "zoo:mnist/robust", which come with the package;
            - a user's own as "package.module:factory": an `nn.Module`, or a function or class that makes one, called with
              (input_shape, classes) if it takes them, else with nothing; `weights` are optional;
            - "timm:NAME" or "torchvision:NAME", with `weights` or as "timm:NAME(pretrained=true)", which may download them;
            - "transformers:FOLDER" that `save_pretrained` wrote, or "timm:local-dir:FOLDER"; nothing is downloaded;
            - an `nn.Module`.
        weights: a checkpoint: `.pt`, `.pth`, `.ckpt`, `.tar`, `.th`, `.model`, `.bin` or `.safetensors`.
        input_shape: (C, H, W) of an image, for a network that is built by name; None for (1, 28, 28), or what the other
            library says of its own.
        classes: the number of classes, likewise; None for 10, or what the other library says. Of another library's network,
            the weights' own number counts.
        normalisation: what goes before the network; a name, text or numbers, see `read_normalisation`. None takes what the
            file or library says, and otherwise leaves the images as they are.
        allow_pickle: let a checkpoint run the code that it carries. Only for files whose author you trust.
        device: where to put it; None for the CPU, and a module that was given stays where it is.

    Raises:
        InputError: an unknown name, a checkpoint that can't be read or is another network's, weights that are not finite.
        MissingExtraError: the library is not installed.

    Warns:
        UserWarning: another library's network was trained on images of another size, or without a normalisation on record.
    """
    given = None if input_shape is None else read_input_shape(input_shape)
    shape, count = given or INPUT_SHAPE, CLASSES if classes is None else classes
    if isinstance(classifier, str) and classifier.startswith(PREFIX):
        classifier = zoo_file("classifier", "classifiers", classifier)
    place = None if device is None else resolve_device(device)
    if isinstance(classifier, nn.Module):
        found = normalised(_loaded(classifier, weights, shape, count, allow_pickle), normalisation)
    elif _is_path(classifier):
        require(weights is None, "weights", str(weights), "left out where the classifier is a file itself")
        found = _from_file(Path(classifier), shape, count, normalisation, allow_pickle)  # type: ignore[arg-type]
    else:
        spec = parse_spec("classifier", classifier)  # type: ignore[arg-type]
        if names_library(spec):
            found = _from_library(spec, weights, given, classes, normalisation, allow_pickle)
        else:
            found = _from_spec(spec, weights, shape, count, normalisation, allow_pickle)
    return (found if place is None else found.to(place)).eval()


def _from_spec(
    spec: Spec,
    weights: str | os.PathLike[str] | None,
    input_shape: tuple[int, int, int],
    classes: int,
    normalisation: NormalisationLike,
    allow_pickle: bool,
) -> nn.Module:
    if ":" not in spec.name:
        NETWORKS.function("classifier", spec.name)  # an unknown name matters more than missing weights
    _require_weights(spec, weights, needed=":" not in spec.name)
    if normalisation is not None:
        normalisation = read_normalisation(normalisation, input_shape[0]) or "none"
    network = build_network(spec, input_shape, classes, argument="classifier")
    network = _loaded(network, weights, input_shape, classes, allow_pickle)
    return normalised(network, _recorded_normalisation(weights) if normalisation is None else normalisation)


def _from_library(
    spec: Spec,
    weights: str | os.PathLike[str] | None,
    input_shape: tuple[int, int, int] | None,
    classes: int | None,
    normalisation: NormalisationLike,
    allow_pickle: bool,
) -> nn.Module:
    _require_weights(spec, weights, needed=not brings_weights(spec))
    content = None if weights is None else _tensors_of(weights, allow_pickle)
    if normalisation is not None:
        normalisation = read_normalisation(normalisation, None if input_shape is None else input_shape[0]) or "none"
    asked = {"pretrained": content is None, "weights": weights, "allow_pickle": allow_pickle}
    found = library_network(spec, input_shape, classes, "classifier", **asked)  # type: ignore[arg-type]
    if content is not None:
        content = found.renamed(content)
        held = other_classes(content, found.network.state_dict())
        if held is not None and held != classes:  # the file says how many there are
            found = library_network(spec, input_shape, held, "classifier", **asked)  # type: ignore[arg-type]
        shape = input_shape or (found.channels, *(found.sizes or ((224, 224),))[0])
        load_weights(found.network, content, str(weights), shape, held or classes or CLASSES)
    if normalisation is None:
        normalisation = _recorded_normalisation(weights) or found.normalisation
        if normalisation is None:
            _warn(f"`classifier` (={spec}) records no normalisation, and images go in as they are")
    if input_shape is not None and found.sizes and input_shape[1:] not in found.sizes:
        trained = " or ".join(f"{height} x {width}" for height, width in dict.fromkeys(found.sizes))
        _warn(f"`classifier` (={spec}) was trained on images of {trained} pixels; these are {input_shape[1]} x {input_shape[2]}")
    return named(normalised(found.network, normalisation, found.channels), found.class_names)


def _warn(what: str) -> None:
    warnings.warn(what, UserWarning, stacklevel=4)


def _require_weights(spec: Spec, weights: str | os.PathLike[str] | None, needed: bool) -> None:
    expected = f"a checkpoint with the weights of {spec.name}; build_network makes an untrained one"
    require(weights is not None or not needed, "weights", weights, expected)


def _from_file(
    path: Path, input_shape: tuple[int, int, int], classes: int, normalisation: NormalisationLike, allow_pickle: bool
) -> nn.Module:
    described = find_metadata(path, "classifier") if path.suffix == ".safetensors" else None
    if described is not None:
        spec, shape = parse_spec("network", described["network"]), read_input_shape(described["input_shape"])
        # A file must not choose code to import: only its user may.
        expected = f'one whose network gradaudit builds; if you trust it, load_classifier("{spec.name}", weights=...)'
        require(":" not in spec.name or names_library(spec), "classifier", str(path), expected)
        load = _from_library if names_library(spec) else _from_spec
        return load(spec, path, shape, described["classes"], normalisation, allow_pickle)
    content = read_checkpoint(path, allow_pickle=allow_pickle, argument="classifier")
    if isinstance(content, nn.Module):
        return normalised(content.float(), normalisation)
    fits = fitting_networks(content, input_shape, classes) or ["NETWORK"]
    expected = f'given with its network, since it holds weights only: load_classifier("{fits[0]}", weights=...)'
    raise InputError("classifier", str(path), expected)


def _loaded(
    network: nn.Module,
    weights: str | os.PathLike[str] | None,
    input_shape: tuple[int, int, int],
    classes: int,
    allow_pickle: bool,
) -> nn.Module:
    if weights is not None:
        load_weights(network, _tensors_of(weights, allow_pickle), str(weights), input_shape, classes)
    return network


def _tensors_of(weights: str | os.PathLike[str], allow_pickle: bool) -> Mapping[str, Tensor]:
    content = read_checkpoint(weights, allow_pickle=allow_pickle)
    return content.state_dict() if isinstance(content, nn.Module) else content


def _recorded_normalisation(weights: str | os.PathLike[str] | None) -> NormalisationLike:
    if weights is None or Path(weights).suffix != ".safetensors":
        return None
    described = find_metadata(weights, "weights")
    return None if described is None else described["normalisation"] or "none"


def _is_path(classifier: Any) -> bool:
    if isinstance(classifier, str):
        require("://" not in classifier, "classifier", classifier, "a file on this machine, or a name: fetch it first")
        plain = ":" not in classifier and "(" not in classifier
        return plain and (Path(classifier).suffix in SUFFIXES or os.sep in classifier)
    return isinstance(classifier, os.PathLike)
