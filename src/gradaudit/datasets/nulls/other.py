"""Null blocks from another data set."""

from __future__ import annotations

import os
from typing import Literal

import numpy as np
import torch

from gradaudit.datasets.load import load_images
from gradaudit.datasets.nulls import NullBlocks, Shape
from gradaudit.datasets.nulls._fitting import fitted
from gradaudit.errors import require


def other(
    *, data: str = "mnist5k", folder: str | os.PathLike[str] | None = None, half: Literal["train", "test"] = "train"
) -> NullBlocks:
    """Images of another data set, drawn with replacement from all its classes, whatever the signal's label.

    One that is too large for the block is made smaller, one that is too small is framed in black; colour becomes grey, and grey
    colour, as the block needs.

    Args:
        data: the data set, as in `load_images`.
        folder: where its files are, as in `load_images`.
        half: the half that is drawn from. The data set `blocks` takes the training half for its training images, the test half for
            its test images.

    Raises:
        InputError: no such data set or half, or absent or damaged files.
    """
    require(half in ("train", "test"), "half", half, '"train" or "test"')
    images = load_images(data, folder=folder)[("train", "test").index(half)].images

    def draw(count: int, shape: Shape, generator: np.random.Generator) -> np.ndarray:
        drawn = images[torch.from_numpy(generator.integers(len(images), size=count))]
        return fitted(drawn, shape).numpy()

    return draw
