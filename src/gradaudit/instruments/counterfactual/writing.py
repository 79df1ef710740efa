"""The counterfactuals as PNG files, beside their originals."""

from __future__ import annotations

import os
import re
from pathlib import Path

from torch import Tensor

from gradaudit.files import whole_file, writable_folder
from gradaudit.instruments.counterfactual.shown import Shown


def write_images(result: Shown, folder: str | os.PathLike[str]) -> Path:
    """Write the files; return the folder. `CounterfactualResult.write_images` has the arguments."""
    target = writable_folder("folder", folder)
    for row, found in enumerate(result.table.to_dict("records")):
        number = f"{found['image']:04d}"
        _write(target / f"{number}_{_plain(found['source'])}.png", result.originals[row])
        if not found["failed"]:
            words = (found["source"], "to", found["target"], found["method"], f"seed{found['seed']}")
            _write(target / f"{number}_{'_'.join(map(_plain, words))}.png", result.images[row])
    return target


def _plain(word: str) -> str:
    """The word as any file system takes it in a name."""
    return re.sub(r"[^\w.-]+", "-", word).strip("-")


def _write(path: Path, image: Tensor) -> None:
    from PIL import Image

    pixels = image.movedim(0, -1).numpy()
    with whole_file(path) as file:
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, format="PNG")
