"""Networks of timm."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from torch import nn

from gradaudit.classifiers.libraries._network import Asked, LibraryNetwork, Tensors
from gradaudit.classifiers.normalisation import Normalisation
from gradaudit.errors import InputError, MissingExtraError, require

FOLDER = "local-dir:"


def timm(name: str, asked: Asked) -> LibraryNetwork:
    """A classifier of timm by its name, such as `resnet50.a1_in1k`, or `local-dir:FOLDER` that timm or its hub wrote.

    With `pretrained=true` it has the weights that timm publishes.

    Args:
        name: as `timm.create_model` takes it.
        asked: what it is asked to be.

    Raises:
        MissingExtraError: timm is not installed.
        InputError: a name that only the hub knows, without `pretrained=true`, or a folder that is none of timm's.
    """
    try:
        import timm as package
    except ImportError as error:
        raise MissingExtraError("timm", "timm", f"`timm:{name}`") from error
    folder = Path(name.removeprefix(FOLDER)) if name.startswith(FOLDER) else None
    if folder is not None:
        require((folder / "config.json").is_file(), "network", name, "a folder with timm's config.json and weights")
    elif ":" in name:
        require(asked.pretrained, "network", name, "given as (pretrained=true), since its description must be downloaded")
    options: dict[str, Any] = {}
    if not asked.pretrained:
        options = {} if asked.input_shape is None else {"in_chans": asked.input_shape[0]}
        options |= {} if asked.classes is None else {"num_classes": asked.classes}
    network: nn.Module = package.create_model(name, pretrained=asked.pretrained, **options | dict(asked.options))
    record: dict[str, Any] = getattr(network, "pretrained_cfg", None) or {}
    trained = asked.pretrained or bool(asked.weights)
    return LibraryNetwork(
        network=network,
        channels=_channels(network, options | dict(asked.options), record),
        normalisation=Normalisation(tuple(record["mean"]), tuple(record["std"])) if {"mean", "std"} <= record.keys() else None,
        sizes=_sizes(record) if asked.pretrained else (),
        class_names=_class_names(network, record) if trained else None,
        renamed=lambda tensors: _renamed(network, tensors),
    )


def _channels(network: nn.Module, options: dict[str, Any], record: dict[str, Any]) -> int:
    return int(options.get("in_chans") or getattr(network, "in_chans", None) or record.get("input_size", (3,))[0])


def _sizes(record: dict[str, Any]) -> tuple[tuple[int, int], ...]:
    found = (record.get(name) for name in ("input_size", "test_input_size"))
    return tuple((int(size[1]), int(size[2])) for size in found if size)


def _class_names(network: nn.Module, record: dict[str, Any]) -> tuple[str, ...] | None:
    """Its record's, or WordNet's numbers where it is for as many classes as a known part of ImageNet."""
    count, names = getattr(network, "num_classes", None), record.get("label_names")
    if names is None and count is not None and count == record.get("num_classes"):
        from timm.data import ImageNetInfo, infer_imagenet_subset

        subset = infer_imagenet_subset(network)
        names = ImageNetInfo(subset).label_names() if subset else None
    return tuple(map(str, names)) if isinstance(names, list | tuple) and len(names) == count else None


def _renamed(network: nn.Module, tensors: Tensors) -> Tensors:
    """With timm's own names where the tensors are a network's as its authors published it."""
    rename = getattr(sys.modules.get(type(network).__module__), "checkpoint_filter_fn", None)
    if rename is None or network.state_dict().keys() <= tensors.keys():
        return tensors
    try:
        found: Tensors = rename(dict(tensors), network)
    except (KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise InputError("weights", "its tensors", f"those of this network, or of its authors' ({error})") from error
    return found
