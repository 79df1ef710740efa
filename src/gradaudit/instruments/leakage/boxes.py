"""Bounding boxes as signal masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradaudit.errors import InputError, require

EXPECTED = "integers (N, 4): left, top, right, bottom of a box for each image; or for each image a list of such boxes"


def mask_from_boxes(boxes: Tensor | np.ndarray | Sequence[Any], size: tuple[int, int]) -> Tensor:
    """The signal mask of bounding boxes: boolean (N, H, W), True inside any box of the image.

    Args:
        boxes: integers (N, 4), a box for each image: left, top, right and bottom in pixels, the right and bottom edges just outside
            the box; or for each image a list of such boxes, which may be empty.
        size: (H, W) of the images, in pixels.

    Raises:
        InputError: a box is not four integers, is empty, or leaves the image.
    """
    height, width = _side(size, 0), _side(size, 1)
    require(hasattr(boxes, "__len__") and not isinstance(boxes, str), "boxes", boxes, EXPECTED)
    mask = torch.zeros(len(boxes), height, width, dtype=torch.bool)
    for place, found in enumerate(boxes):
        for left, top, right, bottom in _boxes_of(found, place):
            inside = 0 <= left < right <= width and 0 <= top < bottom <= height
            expected = f"boxes with 0 <= left < right <= {width} and 0 <= top < bottom <= {height}; image {place} has another"
            require(inside, "boxes", [left, top, right, bottom], expected)
            mask[place, top:bottom, left:right] = True
    return mask


def _boxes_of(found: Any, place: int) -> list[list[int]]:
    try:
        array = np.asarray(found)
    except ValueError as error:  # rows of unequal length
        raise InputError("boxes", found, f"{EXPECTED}; those of image {place} are not") from error
    if array.size == 0:
        return []
    whole = np.issubdtype(array.dtype, np.integer) and array.ndim in (1, 2) and array.shape[-1] == 4
    require(whole, "boxes", found, f"{EXPECTED}; those of image {place} are not")
    listed: list[list[int]] = array.reshape(-1, 4).tolist()
    return listed


def _side(size: Any, place: int) -> int:
    whole = isinstance(size, (tuple, list)) and len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size)
    require(whole, "size", size, "(height, width) of the images, in pixels")
    side: int = size[place]
    return side
