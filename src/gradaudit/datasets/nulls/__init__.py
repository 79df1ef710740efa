"""What the null blocks hold, by kind: one function `(*, options) -> (count, shape, generator) -> pixels` a file.

`shape` is that of a block, (C, H, W); `generator` is numpy's and the only source of chance; the pixels are uint8 (count, C, H, W).
A kind may keep what it needs between calls, which come a few hundred blocks at a time.
"""

from collections.abc import Callable

import numpy as np

Shape = tuple[int, int, int]
NullBlocks = Callable[[int, Shape, np.random.Generator], np.ndarray]
