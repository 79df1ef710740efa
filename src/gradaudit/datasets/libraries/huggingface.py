"""Data sets of Hugging Face's hub, and those that its package `datasets` wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gradaudit.datasets.collect import collect
from gradaudit.errors import InputError, MissingExtraError, require
from gradaudit.images import ImageSet


def huggingface(
    name: str,
    *,
    folder: Path | None = None,
    seed: int = 0,
    size: int | None = None,
    channels: int | None = None,
    splits: tuple[str, str] = ("train", "test"),
    image_column: str | None = None,
    label_column: str | None = None,
    **options: Any,
) -> tuple[ImageSet, ImageSet]:
    """An image classification data set of the Hugging Face hub, or in a folder.

    Args:
        name: on the hub, such as `"ylecun/mnist"`; a folder that `save_to_disk` wrote; a folder of images or a builder, as
            `datasets.load_dataset` takes them.
        folder: where the package keeps its files (its `cache_dir`); by default its own choice.
        seed: unused; such data sets come split.
        size: side of the square to which images are resized and cropped; needed where they have several sizes.
        channels: 1 or 3; by default what the first image has.
        splits: the names of the two halves.
        image_column, label_column: by default the only column of type `Image` and the only one of type `ClassLabel`.
        options: for `datasets.load_dataset`.

    Raises:
        MissingExtraError: the package `datasets` is not installed.
        InputError: the data set can't be loaded, has no such column, or has images that are no image set.
    """
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise MissingExtraError("datasets", "huggingface", f"the data set huggingface:{name}") from error
    if folder is not None:
        options = {"cache_dir": str(folder)} | options

    saved = _saved(name, splits)

    def load(split: str) -> Any:
        try:
            return saved[split] if saved is not None else load_dataset(name, split=split, **options)
        # Builders raise what they like; whatever it is, it is the data set that can't be loaded.
        except Exception as error:
            raise InputError("name_or_path", f"huggingface:{name}", f"a data set that loads, split {split!r} ({error})") from error

    def image_set(found: Any) -> ImageSet:
        pairs = ((row[image], row[label]) for row in found)
        images, labels = collect(name, pairs, len(found), size, channels)
        classes = getattr(found.features[label], "names", None) or range(int(labels.max()) + 1)
        return ImageSet(images, labels, tuple(map(str, classes)))

    train, test = map(load, splits)
    image = image_column or _only(name, train.features, "Image", "image_column")
    label = label_column or _only(name, train.features, "ClassLabel", "label_column")
    for argument, column in (("image_column", image), ("label_column", label)):
        require(column in train.features, argument, column, f"one of {', '.join(train.features)}")
    return image_set(train), image_set(test)


def _saved(name: str, splits: tuple[str, str]) -> Any:
    """What `save_to_disk` wrote to the folder, by split; None where the name is something else."""
    folder = Path(name).expanduser()
    expected = "a data set of several splits, a DatasetDict: this one has one; train_test_split(seed=0) makes two"
    require(not (folder / "state.json").is_file(), "name_or_path", f"huggingface:{name}", expected)
    if not (folder / "dataset_dict.json").is_file():
        return None
    from datasets import load_from_disk

    found = load_from_disk(folder)
    absent = [split for split in splits if split not in found]
    require(not absent, "splits", splits, f"two of {', '.join(found)}, the splits of huggingface:{name}")
    return found


def _only(name: str, features: Any, kind: str, argument: str) -> str:
    columns = [str(column) for column, feature in features.items() if type(feature).__name__ == kind]
    expected = f"given, since {name} has {len(columns)} columns of type {kind}; all columns: {', '.join(features)}"
    require(len(columns) == 1, argument, columns, expected)
    return columns[0]
