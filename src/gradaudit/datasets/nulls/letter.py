"""MNIST with a distractor."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from gradaudit.datasets.nulls import NullBlocks, Shape
from gradaudit.datasets.nulls._proportions import drawn_size
from gradaudit.errors import require

_SAMPLES = 8  # a side of a pixel


def letter(*, letter: str = "A", size: int | None = None) -> NullBlocks:
    """One letter in white on black, the same in every image and on every machine.

    Srinivas, Bordt and Lakkaraju (2023), "MNIST with a distractor". It is the outline in DejaVu Sans, the font that comes with
    matplotlib, filled by counting sample points, with no font engine's hinting.

    Args:
        letter: one character that the font has and that leaves ink.
        size: the longer side of the letter, in pixels; by default 20 of 28, as MNIST's digits.

    Raises:
        InputError: no such letter; when drawn, if the size does not fit the block.
    """
    _outline(letter)

    def draw(count: int, shape: Shape, generator: np.random.Generator) -> np.ndarray:
        return np.broadcast_to(_block(letter, drawn_size(size, shape), shape), (count, *shape))

    return draw


@functools.lru_cache(maxsize=16)
def _block(letter: str, size: int, shape: Shape) -> np.ndarray:
    from matplotlib.path import Path as Polygon

    height, width = shape[1:]
    rows, columns = ((np.arange(_SAMPLES * side) + 0.5) / _SAMPLES - side / 2 for side in (height, width))
    points = np.stack(np.meshgrid(columns / size, -rows / size), axis=-1).reshape(-1, 2)
    inside = np.zeros(len(points), bool)
    for polygon in _outline(letter):  # a point within two outlines is in a hole
        inside ^= Polygon(polygon, closed=True).contains_points(points)
    ink = inside.reshape(height, _SAMPLES, width, _SAMPLES).mean(axis=(1, 3))
    return np.broadcast_to(np.rint(255 * ink).astype(np.uint8), shape)


def _outline(letter: Any) -> list[np.ndarray]:
    """The letter's closed outlines as points (x, y), y upwards, centred at 0 and with a longer side of 1."""
    import matplotlib
    from matplotlib.font_manager import FontProperties, get_font
    from matplotlib.path import Path as Outline
    from matplotlib.textpath import text_to_path

    file = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    expected = 'one character that leaves ink and that the font DejaVu Sans has, such as "A"'
    known = isinstance(letter, str) and len(letter) == 1 and get_font(str(file)).get_char_index(ord(letter)) != 0
    require(known, "letter", letter, expected)
    points, codes = text_to_path.get_text_path(FontProperties(fname=str(file)), letter)
    require(len(points) > 0, "letter", letter, expected)
    path = Outline(points, codes)
    box = path.get_extents()
    return [(polygon - (box.p0 + box.p1) / 2) / max(box.size) for polygon in map(np.asarray, path.to_polygons())]
