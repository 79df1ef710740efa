"""MNIST: LeCun, Cortes, Burges (1998)."""

from __future__ import annotations

from pathlib import Path

from gradaudit.datasets.idx import idx_images
from gradaudit.images import ImageSet


def mnist(*, folder: Path | None = None) -> tuple[ImageSet, ImageSet]:
    """MNIST: 60,000 + 10,000 handwritten digits, 1x28x28, from the four idx files, plain or `.gz`.

    Args:
        folder: has them in `mnist/`, in `MNIST/raw/` as torchvision does, or directly.

    Raises:
        InputError: a file is absent or damaged; names it.
    """
    return idx_images(folder, ("mnist", "MNIST/raw"), tuple("0123456789"), "MNIST")
