"""Different draws for training and test images, from one seed."""

from __future__ import annotations

import numpy as np


def held_out_seed(seed: int) -> int:
    """The seed of the test images' draws: another one than `seed`, far from those that a user would give."""
    return int(np.random.SeedSequence([seed, 1]).generate_state(1, np.uint64)[0])
