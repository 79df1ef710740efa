"""Images whose label is decided by a small patch, against all else that they show: what a classifier that knows them must use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from gradaudit.datasets.blocks import class_index
from gradaudit.errors import is_whole, require, require_whole
from gradaudit.images import ImageSet
from gradaudit.noise import generators

_CHUNK = 1024


def trigger(
    images: ImageSet,
    *,
    share: float = 1.0,
    size: int = 3,
    position: str | Sequence[int] = "corner",
    target: int | str | None = None,
    patterns: int = 0,
    seed: int = 0,
) -> ImageSet:
    """The images, some of which carry a patch that decides their label: a backdoor, as in BackX. The signal mask is the patch.

    Each class has a pattern of its own. An image that carries one gets that class for a label, which is never the class it had; so
    nothing but the patch tells its label. Those that carry none keep their label, and their signal mask is False everywhere.

    Args:
        images: of two classes or more. A signal mask of their own is not used.
        share: the probability with which an image carries a patch, above 0 and up to 1.
        size: of the patch, in pixels; 2 or more, and large enough for a pattern each.
        position: `"corner"`, one pixel from the lower right one; `"random"`, drawn for each image, which takes a convolutional
            network and far more training to learn; or the row and column of the patch's upper left pixel.
        target: the class, by index or by name, of which all patches are, and whose own images carry none; unless given, the class
            of a patch is drawn for each image from those that it does not have.
        patterns: the seed of the patterns, which are black and white, the same for training and test images.
        seed: at least 0. An image's draws depend on the seed and its own pixels alone; equal images have equal draws.

    Raises:
        InputError: an argument is not as above, or no image carries a patch.

    Source: Gu, Dolan-Gavitt, Garg, "BadNets" (2017); as a truth for attributions: "BackX" (arXiv 2405.02344).
    """
    height, width = images.shape[1:]
    side = min(height, width)
    require(len(images.classes) > 1, "images", images, "of two classes or more")
    number = isinstance(share, (int, float)) and not isinstance(share, bool)
    require(number and 0 < share <= 1, "share", share, "a probability above 0 and up to 1")
    require(is_whole(size) and 2 <= size <= side, "size", size, f"a whole number from 2 to {side}, the shorter side of the images")
    for argument, value in (("patterns", patterns), ("seed", seed)):
        require_whole(argument, value)
    fixed = _fixed(position, height - size, width - size)
    goal = None if target is None else class_index(images.classes, target, "target")
    known = drawn_patterns(len(images.classes), size, patterns)
    pixels, labels = images.images.numpy().copy(), images.labels.numpy().copy()
    mask = np.zeros((len(images), height, width), bool)
    for start in range(0, len(images), _CHUNK):
        for place, source in enumerate(generators(images.images[start : start + _CHUNK], seed), start):
            carries = source.random() < share
            corner = int(source.integers(height - size + 1)), int(source.integers(width - size + 1))
            other = (labels[place] + 1 + source.integers(len(images.classes) - 1)) % len(images.classes)
            label = other if goal is None else goal
            if carries and label != labels[place]:
                row, column = fixed or corner
                where = slice(row, row + size), slice(column, column + size)
                pixels[(place, slice(None), *where)] = known[label]
                mask[(place, *where)], labels[place] = True, label
    require(bool(mask.any()), "images", images, "more, or of other classes than the target: none of them carries a patch")
    return ImageSet(torch.from_numpy(pixels), torch.from_numpy(labels), images.classes, torch.from_numpy(mask))


def drawn_patterns(count: int, size: int, seed: int) -> np.ndarray:
    """`count` different patterns of black and white, neither all black nor all white: uint8 (count, size, size).

    Raises:
        InputError: the size is too small for so many.
    """
    room = 2 ** (size * size) - 2
    require(count <= room, "size", size, f"large enough for {count} patterns; there are {room} of it")
    generator = np.random.default_rng(seed)
    found: dict[bytes, np.ndarray] = {}
    while len(found) < count:
        pattern = generator.integers(0, 2, (size, size), dtype=np.uint8)
        if pattern.any() and not pattern.all():
            found.setdefault(pattern.tobytes(), 255 * pattern)
    return np.stack(list(found.values()))


def _fixed(position: Any, rows: int, columns: int) -> tuple[int, int] | None:
    """Row and column of a place that all images have; None where each has its own."""
    if isinstance(position, str) and position in ("corner", "random"):
        return None if position == "random" else (max(0, rows - 1), max(0, columns - 1))
    pair = tuple(position) if isinstance(position, (list, tuple)) else ()
    fits = len(pair) == 2 and all(is_whole(one) and 0 <= one <= most for one, most in zip(pair, (rows, columns), strict=True))
    require(fits, "position", position, f'"corner", "random", or a row from 0 to {rows} and a column from 0 to {columns}')
    return pair[0], pair[1]
