"""Your own images: a folder of class folders, as ImageNet has them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from gradaudit.datasets.class_folders import Listing, class_names, halves, list_images, subfolders
from gradaudit.datasets.flaws import OnError, report
from gradaudit.datasets.picture_cache import cached_pictures
from gradaudit.datasets.split import stratified_split
from gradaudit.errors import require
from gradaudit.images import ImageSet, stratified


def folder(
    *,
    folder: str | os.PathLike[str] | None = None,
    seed: int = 0,
    size: int = 112,
    channels: Literal[1, 3] = 3,
    test_share: float = 0.2,
    cache: str | os.PathLike[str] | None = None,
    on_error: OnError = "raise",
) -> tuple[ImageSet, ImageSet]:
    """Your own image files in class folders; resized and centre-cropped, memory-mapped from a cache.

    Args:
        folder: has `train/<class>/` and `test/<class>/` (or `val`, `validation`, ...), or `<class>/` alone, which is then split.
            Classes are in alphabetical order, images in an order shuffled once and for all.
        seed: decides the split, where there is one.
        size: side in pixels of the square; the short side is resized to it (bilinear), then the centre is cut out. 112 is the
            ImageNet-10 of Shah et al. (2021).
        channels: 3 for colour, 1 for grey.
        test_share: share of the images that go to the test set, each class in its proportion, in (0, 1).
        cache: folder for the decoded images; by default the user's cache folder. May be emptied at any time.
        on_error: `"raise"` names all image files that can't be taken in one error; `"skip"` leaves them out, with a warning.

    Raises:
        InputError: an option out of range, no class folder, a class without images, image files that are damaged, no regular
            files or of more than 8 bits a channel, a cache folder that can't be written; names the files.
        StoreError: the disk has too little room for the decoded images.
    """
    require(folder is not None, "folder", folder, "given: the folder of class folders")
    root = Path(str(folder)).expanduser()
    require(root.is_dir(), "folder", str(root), "a folder that exists")
    require(type(size) is int and size >= 1, "size", size, "a whole number of pixels, 1 or more")
    require(channels in (1, 3), "channels", channels, "1 (grey) or 3 (colour)")
    require(0 < test_share < 1, "test_share", test_share, "between 0 and 1, both excluded")
    require(on_error in ("raise", "skip"), "on_error", on_error, '"raise" or "skip"')
    classes, train, test = _halves(root, test_share, seed)
    read = [(half, *cached_pictures(half.files, size, channels, cache)) for half in (train, test)]
    flaws = {half.files[index]: one for half, _, found in read for index, one in found.items()}
    report(root, flaws, len(train.files) + len(test.files), on_error)
    kept = [half[torch.tensor([index not in found for index in range(len(half.files))])] for half, _, found in read]
    _check_kept(root, classes, *(half.labels for half in kept))
    first, second = (
        ImageSet(torch.from_numpy(pixels), half.labels, classes) for half, (_, pixels, _) in zip(kept, read, strict=True)
    )
    return first, second


def _check_kept(root: Path, classes: tuple[str, ...], train: Tensor, test: Tensor) -> None:
    lost = [name for name, count in zip(classes, train.bincount(minlength=len(classes)).tolist(), strict=True) if not count]
    require(not lost, "folder", str(root), f"a folder where each class keeps an image to train on; {', '.join(lost)} keeps none")
    require(len(test) > 0, "folder", str(root), "a folder that keeps an image to test on; it keeps none")


def _halves(root: Path, test_share: float, seed: int) -> tuple[tuple[str, ...], Listing, Listing]:
    found = halves(root)
    if found is not None:
        classes = class_names(found[0])
        other = subfolders(found[1])
        expected = f"a folder with the class folders of {found[0].name}/, {classes}; it has {other}"
        require(other == classes, "folder", str(found[1]), expected)
        first, second = (_shuffled(list_images(half, classes)) for half in found)
        return classes, first, second
    classes = class_names(root)
    everything = list_images(root, classes)
    counts = torch.bincount(everything.labels)
    expected = f"a folder with at least 2 images a class, to train and to test; {classes[int(counts.argmin())]} has 1"
    require(int(counts.min()) >= 2, "folder", str(root), expected)
    count = len(everything.files)
    train, test = stratified_split(everything.labels, min(max(1, round(test_share * count)), count - 1), seed)
    return classes, everything[train], everything[test]


def _shuffled(listing: Listing) -> Listing:
    # Not by the user's seed: every seed would leave its own copy in the cache.
    return listing[stratified(listing.labels, len(listing.files), seed=0)]
