"""Which class each of a classifier's logits stands for, where its library or its file says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import nn

from gradaudit.classifiers.libraries.transformers import class_names_of
from gradaudit.errors import require
from gradaudit.images import ImageSet

ATTRIBUTE = "class_names"

Module = TypeVar("Module", bound=nn.Module)


def class_names(classifier: nn.Module) -> tuple[str, ...] | None:
    """The names of the classes in the order of the logits; None where nothing says them.

    They are what `load_classifier` read of another library's network, the `id2label` of a model of transformers, or an
    attribute `class_names` of yours, on the module or one within it.
    """
    for module in classifier.modules():
        own = getattr(module, ATTRIBUTE, None)
        if isinstance(own, list | tuple) and own and all(isinstance(name, str) for name in own):
            return tuple(own)
        found = class_names_of(getattr(module, "config", None))
        if found is not None:
            return found
    return None


def named(classifier: Module, names: tuple[str, ...] | None) -> Module:
    """The classifier itself, whose `class_names` these are from now on; None changes nothing."""
    if names is not None:
        held: Any = classifier
        held.class_names = names
    return classifier


def misplaced(images: ImageSet, names: tuple[str, ...] | None) -> bool:
    """Whether all of the images' classes are among these names, but not at the places of their labels."""
    if names is None or not set(images.classes) <= set(names):
        return False
    return images.classes != names[: len(images.classes)]


def require_order(classifier: nn.Module, images: ImageSet, argument: str, name: str) -> None:
    """Raise `InputError` where the classifier's own names say that its logits are in another order than the images' labels."""
    names = class_names(classifier)
    expected = (
        f"one whose logits are in the order of the images' classes, {_few(images.classes)}; by its own names they are"
        f" {_few(names or ())}: in_order(images, class_names({argument})) puts the images' in that order"
    )
    require(not misplaced(images, names), argument, name, expected)


def in_order(images: ImageSet, classes: Sequence[str]) -> ImageSet:
    """The images with their classes in another order, that of a classifier's logits: names and labels change together.

    Args:
        images: any.
        classes: the names of the logits' classes, in their order; there may be more than the images have.

    Raises:
        InputError: one of the images' classes is not among them, or is there more than once.
    """
    names = tuple(classes)
    absent = [name for name in images.classes if names.count(name) != 1]
    expected = f"the images' classes in another order, others among them or not; not there once: {_few(tuple(absent))}"
    require(not absent, "classes", names, expected)
    places = torch.tensor([names.index(name) for name in images.classes])
    return ImageSet(images.images, places[images.labels], names, images.signal_mask)


def _few(names: tuple[str, ...], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
