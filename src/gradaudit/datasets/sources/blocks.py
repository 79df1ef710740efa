"""BlockMNIST and its kin by name: Shah et al. (2021)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gradaudit.datasets.blocks import NullLike, bind_null
from gradaudit.datasets.blocks import blocks as in_blocks
from gradaudit.datasets.flaws import OnError
from gradaudit.datasets.load import load_images
from gradaudit.datasets.sources._draws import held_out_seed
from gradaudit.images import ImageSet


def blocks(
    *,
    folder: Path | None = None,
    seed: int = 0,
    on_error: OnError = "raise",
    of: str = "mnist5k",
    position: str | int = "random",
    classes: Sequence[int | str] | None = None,
    null: NullLike = "square",
    layout: tuple[int, int] = (2, 1),
) -> tuple[ImageSet, ImageSet]:
    """BlockMNIST: images in one block of a grid whose other blocks say nothing of the label, with the signal mask.

    Args:
        folder: where the files of `of`, and of the null blocks' data set, are.
        seed: decides the positions and null blocks of the training images as in `gradaudit.blocks`; those of the test images are
            other draws from it.
        on_error: as in `load_images`, for the image files of `of`.
        of: the data set that is put into blocks, as in `load_images`.
        position, classes, null, layout: as in `gradaudit.blocks`. A kind with options is quoted: `null="letter(A)"`.

    Raises:
        InputError: an option is not as above, or a file is absent or damaged.
    """
    pair = load_images(of, folder=folder, seed=seed, on_error=on_error)
    halves = zip(("train", "test"), pair, (seed, held_out_seed(seed)), strict=True)
    train, test = (
        in_blocks(
            images,
            position=position,
            classes=classes,
            null=bind_null(null, folder=folder, half=half),
            layout=layout,
            seed=draw,
        )
        for half, images, draw in halves
    )
    return train, test
