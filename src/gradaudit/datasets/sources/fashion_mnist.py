"""Fashion-MNIST: Xiao, Rasul, Vollgraf (2017), arXiv 1708.07747."""

from __future__ import annotations

from pathlib import Path

from gradaudit.datasets.idx import idx_images
from gradaudit.images import ImageSet

# Table 2 of the paper.
CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def fashion_mnist(*, folder: Path | None = None) -> tuple[ImageSet, ImageSet]:
    """Fashion-MNIST: 60,000 + 10,000 garments, 1x28x28, from the four idx files, plain or `.gz`.

    Args:
        folder: has them in `fashion_mnist/`, `fashion-mnist/`, in `FashionMNIST/raw/` as torchvision does, or directly.

    Raises:
        InputError: a file is absent or damaged; names it.
    """
    return idx_images(folder, ("fashion_mnist", "fashion-mnist", "FashionMNIST/raw"), CLASSES, "FashionMNIST")
