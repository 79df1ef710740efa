"""Sizes of what is drawn in a block."""

from __future__ import annotations

from typing import Any

from gradaudit.datasets.nulls import Shape
from gradaudit.errors import is_whole, require

DIGIT_SHARE = 20 / 28  # MNIST's digits fill a box of 20 pixels in an image of 28


def drawn_size(size: Any, shape: Shape, share: float = DIGIT_SHARE) -> int:
    """The side in pixels of what is drawn in a block of that shape: the one given, or a share of the shorter side.

    Raises:
        InputError: it is not a whole number that fits the block.
    """
    room = min(shape[1:])
    if size is None:
        return max(1, round(share * room))
    fits = is_whole(size) and 1 <= size <= room
    require(fits, "size", size, f"a whole number from 1 to {room}, the pixels of the block's shorter side")
    return int(size)
