"""Empty null blocks."""

from __future__ import annotations

import numpy as np

from gradaudit.datasets.nulls import NullBlocks, Shape


def nothing() -> NullBlocks:
    """Black null blocks."""

    def draw(count: int, shape: Shape, generator: np.random.Generator) -> np.ndarray:
        return np.broadcast_to(np.uint8(0), (count, *shape))

    return draw
