"""Masks and boxes in a user's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gradaudit.errors import InputError, require
from gradaudit.images import ImageSet
from gradaudit.instruments.leakage.boxes import mask_from_boxes


def read_mask(path: Path, like: ImageSet) -> Any:
    """The mask (N, H, W) in an `.npy`, or in an `.npz` under `signal_mask` or alone; of boxes (N, 4) the mask that they mean.

    Nothing is unpickled.

    Raises:
        InputError: there is no such array.
    """
    found = _read(path)
    return mask_from_boxes(found, like.shape[1:]) if found.ndim == 2 and found.dtype.kind in "iu" else found


def _read(path: Path) -> np.ndarray:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            name = "signal_mask" if "signal_mask" in loaded.files else loaded.files[0]
            require(len(loaded.files) == 1 or name == "signal_mask", "--masks", loaded.files, "one array, or one named signal_mask")
            array: np.ndarray = loaded[name]
            return array
    except (OSError, ValueError, EOFError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("--masks", str(path), f"a readable .npy or .npz file of masks or boxes ({error})") from error
