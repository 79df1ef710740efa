"""BlockMNIST and its kin: images whose label is in one block, and a mask that says which."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradaudit.datasets.nulls import NullBlocks, Shape
from gradaudit.errors import InputError, is_whole, require, require_whole
from gradaudit.images import ImageSet
from gradaudit.noise import image_keys
from gradaudit.registry import Registry, Spec, parse_spec

NULLS = Registry("gradaudit.datasets.nulls", "null kind")
NullLike = str | Mapping[str, Any] | Spec | np.ndarray | Tensor | NullBlocks

_CHUNK = 2**20  # bytes of blocks that are made at a time: little beside the result, enough to be fast


def blocks(
    images: ImageSet,
    *,
    position: str | int = "random",
    classes: Sequence[int | str] | None = None,
    null: NullLike = "square",
    layout: tuple[int, int] = (2, 1),
    seed: int = 0,
) -> ImageSet:
    """The images, each in one block of a grid whose other blocks say nothing of its label; the signal mask is True on its block.

    Shah et al. (2021), BlockMNIST; `position="top"` is their BlockMNIST-Top. With `null="letter"` it is "MNIST with a distractor"
    of Srinivas et al. (2023).

    Args:
        images: of any size, grey or colour. A signal mask of their own is not used.
        position: of the signal block: `"random"`, drawn for each image; `"top"`, the first block; `"bottom"`, the last; or an
            index from 0, row by row.
        classes: the classes to keep, by index or by name; they are relabelled from 0 in the order given, names kept. All unless
            given.
        null: what the other blocks hold: a kind with its options, `"square"`, `"nothing"`, `"noise(std=0.25)"`, `"letter(A)"`,
            `"other(mnist5k)"`; an array uint8 (H, W) or (C, H, W), the same in every null block; or a function of your own,
            itself or as `"package.module:function"`, `(count, shape, generator) -> pixels`: uint8 (count, C, H, W) for a block's
            shape (C, H, W), drawn from numpy's `generator`.
        layout: rows and columns of blocks, two blocks at least.
        seed: at least 0. An image's random position depends on the seed and its own pixels alone, so it is the same in whatever
            order and company; equal images have equal positions. What a random kind draws depends on the seed and on the image's
            place, so the first images are the same however many follow.

    Raises:
        InputError: an argument is not as above, no image has one of the classes, or a function returns other pixels.
    """
    rows, columns = _checked_layout(layout)
    place = _place(position, rows * columns)
    require_whole("seed", seed)
    chosen, labels, names = _chosen(images, classes)
    channels, height, width = images.shape
    draw = _checked(bind_null(null), np.random.default_rng(seed), images.shape)
    grid = np.empty((len(chosen), channels, rows, height, columns, width), np.uint8)
    places = np.empty(len(chosen), np.int64)
    for part in _chunks(grid):
        pixels = images.images[chosen[part]]
        places[part] = [key % (rows * columns) for key in image_keys(pixels, seed)] if place is None else place
        signal = (np.arange(rows * columns) == places[part, None]).reshape(-1, rows, columns)
        by_block = grid[part].transpose(0, 2, 4, 1, 3, 5)  # a view
        by_block[signal] = pixels.numpy()
        by_block[~signal] = draw(int((~signal).sum()))
    whole = grid.reshape(len(chosen), channels, rows * height, columns * width)
    return ImageSet(torch.from_numpy(whole), labels, names, _mask(places, place, (rows, columns), images.shape))


def bind_null(null: NullLike, **defaults: Any) -> NullBlocks:
    """The function that draws the null blocks; `defaults` go to those options that a named kind has and its spec lacks.

    Raises:
        InputError: no such kind or option.
    """
    if isinstance(null, np.ndarray | Tensor):
        return _fixed(np.asarray(null))
    if callable(null):
        return null
    spec = parse_spec("null", null)
    bound = NULLS.bind("null", spec, **defaults)
    own: NullBlocks = bound if ":" in spec.name else bound()
    return own


def _fixed(block: np.ndarray) -> NullBlocks:
    def draw(count: int, shape: Shape, generator: np.random.Generator) -> np.ndarray:
        fits = block.dtype == np.uint8 and block.shape in (shape, shape[1:])
        require(fits, "null", block, f"uint8 of a block's shape {shape} or {shape[1:]}")
        return np.broadcast_to(block, (count, *shape))

    return draw


def _checked(null: NullBlocks, generator: np.random.Generator, shape: Shape) -> Callable[[int], np.ndarray]:
    def draw(count: int) -> np.ndarray:
        pixels = null(count, shape, generator)
        expected = f"a function (count, shape, generator) that returns an array of uint8 {(count, *shape)} for count {count}"
        sound = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.shape == (count, *shape)
        require(sound, "null", pixels, expected)
        return pixels

    return draw


def _checked_layout(layout: Any) -> tuple[int, int]:
    counts = tuple(layout) if isinstance(layout, Iterable) else ()
    whole = len(counts) == 2 and all(is_whole(count) and count >= 1 for count in counts)
    require(whole and counts != (1, 1), "layout", layout, "a number of rows and one of columns, two blocks at least")
    return counts[0], counts[1]


def _place(position: Any, count: int) -> int | None:
    """The index of the signal block; None where it is drawn."""
    named = {"random": None, "top": 0, "bottom": count - 1}
    if isinstance(position, str) and position in named:
        return named[position]
    index = is_whole(position) and 0 <= position < count
    require(index, "position", position, f'"random", "top", "bottom" or an index from 0 to {count - 1}')
    return int(position)


def _chosen(images: ImageSet, classes: Any) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Indices of the images of these classes, their new labels, and the classes' names."""
    if classes is None:
        return torch.arange(len(images)), images.labels, images.classes
    listed = isinstance(classes, Iterable) and not isinstance(classes, str)
    require(listed, "classes", classes, "a sequence of classes, each an index or a name")
    wanted = [class_index(images.classes, one, "classes") for one in classes]
    require(0 < len(set(wanted)) == len(wanted), "classes", classes, "one class or more, each once")
    relabelled = torch.full((len(images.classes),), -1)
    relabelled[wanted] = torch.arange(len(wanted))
    labels = relabelled[images.labels]
    chosen = (labels >= 0).nonzero().flatten()
    require(len(chosen) > 0, "classes", classes, "classes of which there is an image")
    return chosen, labels[chosen], tuple(images.classes[index] for index in wanted)


def class_index(names: tuple[str, ...], one: Any, argument: str) -> int:
    """The index of a class that is given by index or by name.

    Raises:
        InputError: there is none; names `argument`.
    """
    if isinstance(one, str) and one in names:
        return names.index(one)
    if isinstance(one, int | np.integer) and not isinstance(one, bool) and 0 <= one < len(names):
        return int(one)
    raise InputError(argument, one, f"an index from 0 to {len(names) - 1} or one of the names {', '.join(names)}")


def _chunks(grid: np.ndarray) -> Iterator[slice]:
    step = max(1, _CHUNK // grid[0].nbytes)
    return (slice(start, start + step) for start in range(0, len(grid), step))


def _mask(places: np.ndarray, place: int | None, layout: tuple[int, int], shape: Shape) -> Tensor:
    count = layout[0] * layout[1]
    patterns = torch.eye(count, dtype=torch.bool).reshape(count, *layout)
    patterns = patterns.repeat_interleave(shape[1], dim=1).repeat_interleave(shape[2], dim=2)
    if place is None:
        return patterns[torch.from_numpy(places)]
    return patterns[place].expand(len(places), -1, -1)  # one pattern in memory, whatever the number of images
