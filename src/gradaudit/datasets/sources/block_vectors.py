"""The block version of x = y e_j by name: Shah et al. (2021)."""

from __future__ import annotations

from gradaudit.datasets import theory
from gradaudit.datasets.sources._draws import held_out_seed
from gradaudit.images import ImageSet


def block_vectors(
    *, seed: int = 0, blocks: int = 10, width: int = 10, noise: float = 0.05, train_images: int = 10_000, test_images: int = 2_000
) -> tuple[ImageSet, ImageSet]:
    """Synthetic vectors of blocks, one of which is plus or minus u and noise, the others noise alone.

    Args:
        seed: decides the draws.
        blocks, width, noise: as in `gradaudit.block_vectors`.
        train_images, test_images: their number, at least 1.

    Raises:
        InputError: an option is out of its range.
    """
    return (
        theory.block_vectors(train_images, blocks=blocks, width=width, noise=noise, seed=seed),
        theory.block_vectors(test_images, blocks=blocks, width=width, noise=noise, seed=held_out_seed(seed)),
    )
