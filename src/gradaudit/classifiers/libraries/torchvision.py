"""Networks of torchvision."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

from gradaudit.classifiers.libraries._network import Asked, LibraryNetwork, Tensors
from gradaudit.classifiers.normalisation import Normalisation
from gradaudit.errors import InputError, MissingExtraError

# Weights that torchvision published before it renamed layers; its own functions rename them in the same way.
RENAMED = (
    (re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)"), r"\1\2"),
    (re.compile(r"(\bmlp)\.linear_1\."), r"\1.0."),
    (re.compile(r"(\bmlp)\.linear_2\."), r"\1.3."),
)
WITH_OTHERS = ("googlenet", "inception_v3")  # that have further heads, and may normalise once more


def torchvision(name: str, asked: Asked) -> LibraryNetwork:
    """A classifier of torchvision by its name, such as `resnet50`; with `pretrained=true`, its default weights.

    Args:
        name: as `torchvision.models.get_model` takes it.
        asked: what it is asked to be.

    Raises:
        MissingExtraError: torchvision is not installed.
        InputError: it is no classifier.
    """
    try:
        from torchvision import models
    except ImportError as error:
        raise MissingExtraError("torchvision", "torchvision", f"`torchvision:{name}`") from error
    published: Any = [*models.get_model_weights(name)]
    entry = models.get_model_weights(name).DEFAULT if asked.pretrained else _entry(published, asked.weights)
    options = _options(name, asked, entry is not None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of how GoogLeNet's untrained weights will be drawn
        network = models.get_model(name, weights=entry if asked.pretrained else None, **options)
    if asked.pretrained and name == "inception_v3" and "aux_logits" not in asked.options:
        network.aux_logits, network.AuxLogits = False, None  # its own function keeps them
    record = entry or next(iter(published), None)
    preset: Any = record and record.transforms()
    if preset is not None and not (hasattr(preset, "mean") and hasattr(preset, "crop_size")):
        raise InputError("network", name, "a classifier of images, which this is not")
    names = entry and entry.meta.get("categories")
    return LibraryNetwork(
        network=network,
        channels=3,
        normalisation=preset and Normalisation(tuple(preset.mean), tuple(preset.std)),
        sizes=(_square(preset.crop_size),) if entry else (),
        class_names=tuple(names) if names else None,
        renamed=_renamed,
    )


def _entry(published: list[Any], weights: str) -> Any:
    """The published weights that the file is, by its name; None where it is the user's own."""
    return next((one for one in published if one.url.rpartition("/")[2] == Path(weights).name), None)


def _options(name: str, asked: Asked, published: bool) -> dict[str, Any]:
    own: dict[str, Any] = {} if asked.pretrained or asked.classes is None else {"num_classes": asked.classes}
    if name in WITH_OTHERS and not asked.pretrained:
        own |= {"aux_logits": False, "transform_input": published, "init_weights": not asked.weights}
        if asked.weights and not published and "transform_input" not in asked.options:
            warnings.warn(
                f"`weights` (={asked.weights}) for torchvision:{name} are taken to be trained from scratch; for weights that were"
                f" fine-tuned from torchvision's, say torchvision:{name}(transform_input=true)",
                UserWarning,
                stacklevel=6,
            )
    return own | dict(asked.options)


def _square(side: Any) -> tuple[int, int]:
    sides = [*side] if isinstance(side, list | tuple) else [side]
    return int(sides[0]), int(sides[-1])


def _renamed(tensors: Tensors) -> Tensors:
    found = dict(tensors)
    for old, new in RENAMED:
        found = {old.sub(new, name): value for name, value in found.items()}
    return found
