"""ImageSet: labelled uint8 images, the form in which every data set enters gradaudit."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradaudit.errors import InputError, require
from gradaudit.files import fingerprint

AT_ONCE = 2**18  # pixel values of which a temporary is made at once


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with their labels; slices like a list.

    Args:
        images: uint8 (N, C, H, W) with C of 1 or 3; a tensor or an array, memory-mapped arrays stay on disk.
        labels: integers (N,), from 0 to K - 1.
        classes: the K class names, a sequence.
        signal_mask: optional boolean (N, H, W), True where the image carries its label (the **signal mask**).

    Raises:
        InputError: a shape, dtype or range is not as above, or there is no image.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    signal_mask: Tensor | None = None

    def __post_init__(self) -> None:
        images, labels = _tensor("images", self.images), _tensor("labels", self.labels)
        require(images.dtype == torch.uint8, "images", self.images, "uint8, values 0 to 255")
        require(images.ndim == 4 and images.shape[1] in (1, 3), "images", self.images, "(N, C, H, W) with 1 or 3 channels")
        require(len(images) > 0 and images.numel() > 0, "images", self.images, "at least one image with at least one pixel")
        require(not labels.dtype.is_floating_point and labels.dtype != torch.bool, "labels", self.labels, "integers")
        require(labels.shape == (len(images),), "labels", self.labels, f"of shape ({len(images)},), one for each image")
        labels = labels.to(torch.int64)
        names: Any = self.classes
        require(isinstance(names, Iterable) and not isinstance(names, str), "classes", names, "a sequence of class names")
        classes = tuple(str(name) for name in self.classes)
        require(len(classes) > 0, "classes", self.classes, "at least one class name")
        low, high = int(labels.min()), int(labels.max())
        expected = f"from 0 to {len(classes) - 1}, an index into the {len(classes)} class names"
        require(low >= 0 and high < len(classes), "labels", f"{low}..{high}", expected)
        mask = self.signal_mask
        if mask is not None:
            mask = _tensor("signal_mask", mask)
            require(mask.dtype == torch.bool, "signal_mask", mask, "boolean")
            shape = (len(images), *images.shape[2:])
            require(mask.shape == shape, "signal_mask", mask, f"of shape {shape}, one pixel mask for each image")
        for name, value in (("images", images), ("labels", labels), ("classes", classes), ("signal_mask", mask)):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, which: Any) -> ImageSet:
        """The images at a slice, a list, a tensor of indices or a boolean mask; an integer gives a set of one.

        Raises:
            InputError: nothing is chosen.
            IndexError: an index is out of range, or a mask has another length.
        """
        if not isinstance(which, slice) or (which.step or 1) < 0:  # other slices are views, whose pixels are not read
            which = _indices(which, len(self))
        mask = None if self.signal_mask is None else self.signal_mask[which]
        return ImageSet(self.images[which], self.labels[which], self.classes, mask)

    def __iter__(self) -> Iterator[ImageSet]:
        return (self[index] for index in range(len(self)))

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        # As arrays, which workers share.
        return ImageSet, (*self._arrays[:2], self.classes, self._arrays[2])

    @cached_property
    def _arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        # One array object each: joblib shares an array between workers, but takes each new view for another array.
        mask = None if self.signal_mask is None else self.signal_mask.numpy()
        return self.images.numpy(), self.labels.numpy(), mask

    def __repr__(self) -> str:
        mask = ", signal mask" if self.signal_mask is not None else ""
        size = "x".join(str(side) for side in self.images.shape[1:])
        return f"ImageSet({len(self):,} images of {size}, {len(self.classes)} classes{mask})"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over pixels, labels, class names and signal mask."""
        parts = [self.images, self.labels, *self.classes]
        return fingerprint(*parts, *([] if self.signal_mask is None else [self.signal_mask]))

    @property
    def settings(self) -> dict[str, Any]:
        """What decides a number that was measured on these images, in JSON values: part of a result's settings."""
        return {
            "classes": list(self.classes),
            "shape": list(self.shape),
            "images": len(self),
            "images_fingerprint": self.fingerprint,
        }

    def floats(self, which: Any = slice(None), device: torch.device | str = "cpu") -> Tensor:
        """The chosen images as float32 in [0, 1], (n, C, H, W), on `device`; `which` is a slice, or a list or tensor of indices."""
        return self.images[which].to(device).float().div_(255)

    def mean(self) -> Tensor:
        """The mean of each channel over all images and pixels, (C,), in [0, 1]."""
        total = torch.zeros(self.shape[0], dtype=torch.float64)
        for part in in_parts(self.images):
            total += part.sum(dim=(0, 2, 3), dtype=torch.float64)  # which makes a copy of it in float64
        return (total / (len(self) * self.shape[1] * self.shape[2] * 255)).float()

    def sample(self, size: int, seed: int = 0) -> ImageSet:
        """`size` images drawn without replacement by `seed`, each class in its proportion, shuffled.

        Raises:
            InputError: `size` is not from 1 to the number of images.
        """
        require(1 <= size <= len(self), "size", size, f"from 1 to {len(self)}, the number of images")
        return self[stratified(self.labels, size, seed)]


def shared_images(train: ImageSet, test: ImageSet) -> int:
    """How many of the test images have the very pixels of a training image, whatever their labels."""
    if train.shape != test.shape:
        return 0
    known = set(digests(train))
    return sum(digest in known for digest in digests(test))


def digests(images: ImageSet) -> Iterator[bytes]:
    """A digest of each image's pixels: 16 bytes, the same for copies alone."""
    for part in in_parts(images.images):
        for row in part.flatten(1).contiguous().numpy():
            yield hashlib.blake2b(row, digest_size=16).digest()


def in_parts(levels: Tensor) -> Iterator[Tensor]:
    """The images (N, C, H, W) in parts whose temporaries take little memory, however many and large they are."""
    yield from torch.split(levels, max(1, AT_ONCE // levels[0].numel()))


def floats_at(levels: Tensor, indices: Tensor) -> Tensor:
    """The images at these indices as float32 in [0, 1], of uint8 images (N, C, H, W) on the indices' device."""
    # On a CPU `index_select` is ten times as fast as an index in brackets.
    return levels.index_select(0, indices).float().div_(255)


def ones_where(mask: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """1 where the boolean mask is True, and 0 elsewhere."""
    # On a CPU booleans read as bytes become floats five times as fast.
    return mask.view(torch.uint8).to(dtype)


def stratified(labels: Tensor, size: int, seed: int) -> Tensor:
    """Shuffled indices (size,) of a draw without replacement in which every class keeps its proportion."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    values = labels.numpy()[order]
    # The position of every image within its class, as a share of the class: the smallest shares are taken.
    share = np.empty(len(order))
    for label in np.unique(values):
        places = np.flatnonzero(values == label)
        share[places] = (np.arange(len(places)) + 0.5) / len(places)
    chosen = np.argsort(share, kind="stable")[:size]
    return torch.from_numpy(rng.permutation(order[chosen]))


def _indices(which: Any, count: int) -> Tensor:
    if isinstance(which, Tensor):
        which = which.cpu().numpy()
    elif not isinstance(which, slice):
        which = np.asarray(which, dtype=None if np.size(which) else np.int64)  # an empty list has no dtype of its own
    return torch.from_numpy(np.atleast_1d(np.arange(count)[which]).copy())


def _tensor(argument: str, value: Tensor | np.ndarray | Sequence[Any]) -> Tensor:
    if isinstance(value, Tensor):
        return value
    try:
        array = np.asanyarray(value)
        mapped = isinstance(array, np.memmap)
        if (not array.flags.writeable and not mapped) or any(stride < 0 for stride in array.strides):
            array = array.copy()
        with warnings.catch_warnings():  # torch warns that a read-only map could be written; nothing here writes
            warnings.simplefilter("ignore", UserWarning)
            return torch.from_numpy(array)
    except (TypeError, ValueError) as error:
        raise InputError(argument, type(value).__name__, f"a tensor or a numeric array ({error})") from error
