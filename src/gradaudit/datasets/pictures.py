"""Image files and Pillow images -> uint8 (C, H, W)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from gradaudit.datasets.damage import reading
from gradaudit.errors import require

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".bmp", ".gif", ".tif", ".tiff"))
SUFFIXES |= {".ppm", ".pgm", ".jp2"}


def read_picture(file: Path, size: int, channels: int) -> np.ndarray:
    """The picture in a file as uint8 (channels, size, size).

    Raises:
        InputError: it is no regular file, can't be decoded, or has more than 8 bits a channel; names it.
    """
    require(file.is_file(), "file", str(file), "a regular file")  # a pipe would be waited for without end
    with reading(file, "an intact image file"), Image.open(file) as picture:
        return as_pixels(picture, size, channels)


def as_pixels(picture: Image.Image, size: int | None, channels: int | None) -> np.ndarray:
    """A Pillow image as uint8 (C, H, W), upright.

    Args:
        picture: of 8 bits a channel, or a palette; transparency is dropped.
        size: side of the square that is cut from its centre after the short side was resized to it; `None` for as it is.
        channels: 1 for grey, 3 for colour; `None` for what the picture has.

    Raises:
        InputError: it has more than 8 bits a channel.
    """
    require(not _is_deep(picture), "picture", picture.mode, "of 8 bits a channel: convert it first, since only you know its range")
    grey = channels == 1 or (channels is None and picture.mode in ("1", "L"))
    if isinstance(picture.info.get("transparency"), bytes):
        picture = picture.convert("RGBA")  # else Pillow warns of every such palette
    upright = ImageOps.exif_transpose(picture).convert("L" if grey else "RGB")
    pixels = np.asarray(upright if size is None else _centre(upright, size))
    return pixels[None] if grey else pixels.transpose(2, 0, 1)


def _is_deep(picture: Image.Image) -> bool:
    # Pillow cuts 16 bits of colour to 8 as it reads them; how the file keeps them stands in its tiles, as in "RGB;16B".
    kept = (str(tile[3]) for tile in getattr(picture, "tile", ()))
    return picture.mode.startswith(("I", "F")) or any(re.search(r"(RGB[AX]?|CMYK|LA?);(16|32)", layout) for layout in kept)


def _centre(picture: Image.Image, size: int) -> Image.Image:
    # Rounded as torchvision's Resize(size) and CenterCrop(size) do, so that the pixels are the ones that others train on.
    short = min(picture.size)
    width, height = (int(size * side / short) for side in picture.size)
    if short != size:
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return picture.crop((left, top, left + size, top + size))
