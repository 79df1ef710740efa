"""The way from original to counterfactual as one animated sheet: a column an image, a row a method."""

from __future__ import annotations

import io
import os
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from gradaudit.errors import require
from gradaudit.files import whole_file
from gradaudit.instruments.counterfactual.shown import Shown

FORMATS = {".webp": "WEBP", ".gif": "GIF"}
LENGTH = 24  # frames
FRAME, HOLD = 120, 1500  # milliseconds of a frame, and of the first and the last
LEAST = 84  # pixels, to which a smaller picture is enlarged by a whole factor


def write_animation(result: Shown, path: str | os.PathLike[str], count: int) -> Path:
    """Write the animated sheet; return its path. `CounterfactualResult.animation` has the arguments."""
    path = Path(path)
    require(path.suffix in FORMATS, "path", str(path), f"a file that ends in {' or '.join(FORMATS)}")
    data = encoded(result, count, FORMATS[path.suffix])
    with whole_file(path) as file:
        file.write(data)
    return path


def encoded(result: Shown, count: int, kind: str = "WEBP") -> bytes:
    """The animated sheet as a file's bytes, of a kind that Pillow can write.

    Raises:
        InputError: no method has kept frames.
    """
    from PIL import Image

    pixels = sheets(result, count).movedim(1, -1).numpy()
    frames = [Image.fromarray(one[..., 0] if one.shape[-1] == 1 else one) for one in pixels]
    if kind == "WEBP":
        frames = [frame.convert("RGB") for frame in frames]
    times = [HOLD, *[FRAME] * (len(frames) - 2), HOLD]
    file = io.BytesIO()
    frames[0].save(file, format=kind, save_all=True, append_images=frames[1:], duration=times, loop=0)
    return file.getvalue()


def sheets(result: Shown, count: int) -> Tensor:
    """The sheet at each time, uint8 (T, C, H, W): the originals first, the counterfactuals last.

    Raises:
        InputError: no method has kept frames.
    """
    shown = result.examples(count)
    kept = [name for name in result.methods if any(example[name] in result.frames for example in shown)]
    require(len(kept) > 0, "method", ", ".join(result.methods), "one that keeps frames of its way, for an animation")
    rows = [torch.cat([_way(result, example[name]) for example in shown], dim=3) for name in kept]
    sheet = torch.cat(rows, dim=2)
    factor = -(-LEAST // max(result.images.shape[2:]))
    return sheet.repeat_interleave(factor, 2).repeat_interleave(factor, 3)


def _way(result: Shown, row: int) -> Tensor:
    """The original, the frames and the counterfactual, LENGTH in all, with a grey frame around each."""
    frames = [result.frames[row]] if row in result.frames else []  # an image that failed may have none
    whole = torch.cat([result.originals[row][None], *frames, result.images[row][None]])
    moments = torch.linspace(0, len(whole) - 1, LENGTH).round().long()
    return F.pad(whole[moments], (1, 1, 1, 1), value=128)
