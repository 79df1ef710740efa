"""The arguments of `leakage` and `sensitivity`: brought to one form, and refused before any long work where they are wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradaudit.errors import InputError, require
from gradaudit.images import ImageSet

NAMED = 5  # images that an error lists


def with_signal(images: Any, signal_mask: Tensor | np.ndarray | None) -> ImageSet:
    """The images with the mask given, or else their own.

    Raises:
        InputError: no image set; no mask; a mask of another shape or dtype, or that covers all or nothing of an image.
    """
    require(isinstance(images, ImageSet), "images", type(images).__name__, "an ImageSet with a signal mask, such as blocks(images)")
    mask = images.signal_mask if signal_mask is None else signal_mask
    if mask is None:
        expected = "given, as these images have none of their own: boolean (N, H, W), True where the image carries its label"
        raise InputError("signal_mask", None, f"{expected}; blocks(images) makes such images, mask_from_boxes a mask")
    masked = ImageSet(images.images, images.labels, images.classes, mask)  # type: ignore[arg-type]
    assert masked.signal_mask is not None
    _check_areas(masked.signal_mask)
    return masked


def check_std(std: float | Sequence[float]) -> tuple[float, ...]:
    """The noise levels in ascending order, from one or several.

    Raises:
        InputError: not different finite numbers, 0 or more.
    """
    expected = "one or several different standard deviations, finite and 0 or more, in units of pixel values of [0, 1]"
    listed = isinstance(std, Iterable) and not isinstance(std, (str, Mapping))
    found: tuple[Any, ...] = tuple(std) if listed else (std,)  # type: ignore[arg-type]
    numbers = all(isinstance(one, (int, float, np.integer, np.floating)) and not isinstance(one, bool) for one in found)
    require(len(found) > 0 and numbers, "std", std, expected)
    sensible = all(0 <= one < float("inf") for one in found) and len(set(found)) == len(found)
    require(sensible, "std", std, expected)
    return tuple(sorted(float(one) for one in found))


def areas(mask: Tensor) -> Tensor:
    """The number of pixels (N,) that a mask (N, H, W) covers of each image."""
    return torch.cat([part.flatten(1).sum(1) for part in torch.split(mask, 4096)])


def _check_areas(mask: Tensor) -> None:
    area = areas(mask)
    for bad, covered in ((area == 0, "nothing"), (area == mask[0].numel(), "all")):
        places = bad.nonzero()[:, 0].tolist()
        listed = ", ".join(map(str, places[:NAMED])) + (", ..." if len(places) > NAMED else "")
        expected = f"True for a part of every image; it covers {covered} of {len(places):,} of them: {listed}"
        require(not places, "signal_mask", mask, expected)
