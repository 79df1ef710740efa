"""A folder of idx files, as MNIST and its kin come in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gradaudit.datasets.idx import idx_folder
from gradaudit.errors import require
from gradaudit.images import ImageSet


def idx(*, folder: Path | None = None, classes: Sequence[str] | None = None) -> tuple[ImageSet, ImageSet]:
    """Four idx files in one folder, plain or `.gz`: MNIST, Fashion-MNIST, KMNIST, EMNIST or your own.

    Args:
        folder: has them, with `train` and `t10k` or `test` in their names.
        classes: names, in the order of the labels; by default the labels' numbers.

    Raises:
        InputError: a file is absent or damaged; names it.
    """
    require(folder is not None and Path(folder).is_dir(), "folder", folder, "the folder of the idx files")
    return idx_folder(Path(str(folder)), None if classes is None else tuple(classes))
