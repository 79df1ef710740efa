"""A few images on which a network learns in no time."""

import numpy as np
import pytest

from gradaudit.images import ImageSet


@pytest.fixture(name="small", scope="session")
def small_fixture():
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    pixels = rng.integers(0, 60, (90, 1, 8, 8), dtype=np.uint8)
    pixels[np.arange(90), 0, 2, 2 * labels] = 255
    return ImageSet(pixels, labels, ("a", "b", "c"))
