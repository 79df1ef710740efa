"""x = y e_j by name: Shah et al. (2021)."""

from __future__ import annotations

from gradaudit.datasets.sources._draws import held_out_seed
from gradaudit.datasets.theory import coordinate_images
from gradaudit.images import ImageSet


def coordinate(
    *, seed: int = 0, dimensions: int = 10, train_images: int = 10_000, test_images: int = 2_000
) -> tuple[ImageSet, ImageSet]:
    """Synthetic x = y e_j: the label is the sign of one coordinate drawn at random, the others are zero.

    Args:
        seed: decides the draws.
        dimensions: as in `gradaudit.coordinate_images`.
        train_images, test_images: their number, at least 1.

    Raises:
        InputError: an option is out of its range.
    """
    return (
        coordinate_images(train_images, dimensions=dimensions, seed=seed),
        coordinate_images(test_images, dimensions=dimensions, seed=held_out_seed(seed)),
    )
