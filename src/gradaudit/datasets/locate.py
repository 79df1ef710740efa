"""Where the files of a data set are, and what to do when they are not there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from gradaudit.errors import InputError

VARIABLE = "GRADAUDIT_DATA"


def data_folder(folder: Path | None) -> Path:
    """The folder given, or the one in the environment variable, or `data`."""
    return Path(folder or os.environ.get(VARIABLE) or "data").expanduser()


def locate(folder: Path | None, places: Sequence[str], names: Sequence[str], torchvision: str) -> Path:
    """The first file or folder of one of the `names` in one of the `places`.

    Args:
        folder: the data folder, where the user gave one; the files may then lie in it directly as well.
        places: folders inside it, the usual one first.
        names: what the file may be called.
        torchvision: the data set's name there, for the advice.

    Raises:
        InputError: there is none; says what was looked for, where, and how to get it.
    """
    root = data_folder(folder)
    # Only a folder that the user gave is searched itself: the files of MNIST and Fashion-MNIST have the same names.
    searched = dict.fromkeys([root / place for place in places] + ([root] if folder else []))
    for place in searched:
        for name in names:
            if (place / name).exists():
                return place / name
    wanted, where = " or ".join(names), ", ".join(str(place) for place in searched)
    raise InputError(
        "folder",
        str(root),
        f"a folder with {wanted}, which was looked for in {where}. Give the folder as `folder` or in the environment variable"
        f' {VARIABLE}; with torchvision installed, load_images("torchvision:{torchvision}") downloads the files',
    )
