"""BlockMNIST's null block."""

from __future__ import annotations

import numpy as np

from gradaudit.datasets.nulls import NullBlocks, Shape
from gradaudit.datasets.nulls._proportions import drawn_size
from gradaudit.errors import is_whole, require


def square(*, size: int | None = None, thickness: int | None = None) -> NullBlocks:
    """The outline of a square in white on black, the same in every image.

    Shah et al. (2021), BlockMNIST.

    Args:
        size: side in pixels; by default 16 of 28.
        thickness: of the outline, in pixels, up to half of `size`; by default a sixteenth of it.

    Raises:
        InputError: when drawn, if a size does not fit the block.
    """

    def draw(count: int, shape: Shape, generator: np.random.Generator) -> np.ndarray:
        side = drawn_size(size, shape, share=16 / 28)
        line = max(1, round(side / 16)) if thickness is None else thickness
        whole = is_whole(line)
        require(whole and 1 <= line <= (side + 1) // 2, "thickness", line, f"a whole number from 1 to half of the size, {side}")
        block = np.zeros(shape, np.uint8)
        top, left = ((room - side) // 2 for room in shape[1:])
        block[:, top : top + side, left : left + side] = 255
        block[:, top + line : top + side - line, left + line : left + side - line] = 0
        return np.broadcast_to(block, (count, *shape))

    return draw
