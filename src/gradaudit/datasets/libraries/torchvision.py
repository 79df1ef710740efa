"""Data sets of torchvision."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gradaudit.datasets.collect import collect
from gradaudit.datasets.locate import data_folder
from gradaudit.errors import InputError, MissingExtraError, require
from gradaudit.images import ImageSet


def torchvision(
    name: str,
    *,
    folder: Path | None = None,
    seed: int = 0,
    size: int | None = None,
    channels: int | None = None,
    splits: tuple[str, str] = ("train", "test"),
    **options: Any,
) -> tuple[ImageSet, ImageSet]:
    """A classification data set of torchvision by its class name, downloaded where torchvision can.

    Args:
        name: of the class in `torchvision.datasets`, such as `"MNIST"`.
        folder: torchvision's `root`.
        seed: unused; torchvision's data sets come split.
        size: side of the square to which images are resized and cropped; needed where they have several sizes.
        channels: 1 or 3; by default what the first image has.
        splits: the names of the two halves, for classes that have a `split`.
        options: for the class; `download=True` unless given.

    Raises:
        MissingExtraError: torchvision is not installed.
        InputError: no such class, an option that it does not have, or images that are no image set.
    """
    try:
        from torchvision import datasets
    except ImportError as error:
        raise MissingExtraError("torchvision", "torchvision", f"the data set torchvision:{name}") from error
    maker: Any = getattr(datasets, name, None)
    require(inspect.isclass(maker), "name_or_path", f"torchvision:{name}", "the name of a class in torchvision.datasets")
    parameters = inspect.signature(maker).parameters
    open_ended = any(word.kind is inspect.Parameter.VAR_KEYWORD for word in parameters.values())
    unknown = [] if open_ended else sorted(options.keys() - parameters.keys())
    require(not unknown, "name_or_path", unknown, f"options that torchvision:{name} has: {', '.join(parameters)}")
    options = ({"download": True} if "download" in parameters else {}) | options

    def load(half: dict[str, Any]) -> Any:
        try:
            return maker(data_folder(folder), **half, **options)
        except (RuntimeError, ValueError, TypeError, OSError) as error:
            raise InputError("name_or_path", f"torchvision:{name}", f"a data set that torchvision can load ({error})") from error

    train, test = map(load, _halves(name, parameters, splits, options))
    return _image_set(name, train, size, channels), _image_set(name, test, size, channels)


def _halves(
    name: str, parameters: Mapping[str, Any], splits: tuple[str, str], options: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    if "train" in parameters or "split" in options:  # EMNIST's split says which letters
        return {"train": True}, {"train": False}
    require("split" in parameters, "name_or_path", f"torchvision:{name}", "a data set that has a train or a split argument")
    return {"split": splits[0]}, {"split": splits[1]}


def _image_set(name: str, found: Any, size: int | None, channels: int | None) -> ImageSet:
    pairs = (found[index] for index in range(len(found)))
    images, labels = collect(name, pairs, len(found), size, channels)
    classes = getattr(found, "classes", None) or range(int(labels.max()) + 1)
    return ImageSet(images, labels, tuple(map(str, classes)))
