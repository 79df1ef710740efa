"""Sheets of samples, as pictures."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from gradaudit.diffusion.denoiser import Denoiser
from gradaudit.diffusion.sampling import sample
from gradaudit.errors import require
from gradaudit.files import whole_file


def write_sheet(path: str | os.PathLike[str], images: Tensor, columns: int) -> Path:
    """Write the images side by side, row by row, to a `.png` file; return its path.

    Args:
        path: ends in `.png`; written whole or not at all.
        images: floats (N, C, H, W) in [0, 1], C of 1 or 3.
        columns: images a row.

    Raises:
        InputError: another shape or kind of file, or images that don't fill their rows.
        StoreError: the file can't be written.
    """
    require(Path(path).suffix == ".png", "path", str(path), "a file that ends in .png")
    require(images.ndim == 4 and images.shape[1] in (1, 3), "images", images, "(N, C, H, W) with 1 or 3 channels")
    require(columns >= 1 and len(images) % columns == 0, "columns", columns, f"at least 1, and to divide {len(images)} images")
    framed = F.pad(images, (1, 1, 1, 1), value=0.5)
    rows = framed.view(-1, columns, *framed.shape[1:])
    sheet = rows.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    pixels = (sheet * 255).round().clamp(0, 255).byte().cpu().numpy()
    with whole_file(path) as file:
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, format="png")
    return Path(path)


def sample_sheet(path: str | os.PathLike[str], denoiser: Denoiser, *, columns: int = 8, seed: int = 0) -> Path:
    """Write a sheet of samples: a row for each class, or one row for a denoiser without classes; return its path.

    Raises:
        InputError: a denoiser without a shape, or another kind of file.
        StoreError: the file can't be written.
    """
    labels = [label for label in range(denoiser.classes) for _ in range(columns)] or None
    place = next((weight.device for weight in denoiser.parameters()), "cpu")
    images = sample(denoiser, columns * max(1, denoiser.classes), labels=labels, seed=seed, device=place)
    return write_sheet(path, images, columns)
