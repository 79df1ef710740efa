"""CIFAR-10: Krizhevsky (2009), "Learning multiple layers of features from tiny images"."""

from __future__ import annotations

from pathlib import Path

from gradaudit.datasets.sources._cifar import Cifar, cifar_images
from gradaudit.images import ImageSet

CIFAR10 = Cifar(
    name="cifar10",
    torchvision="CIFAR10",
    folder="cifar-10-batches-py",
    archive="cifar-10-python.tar.gz",
    train=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test="test_batch",
    meta="batches.meta",
    labels=b"labels",
    names=b"label_names",
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
)


def cifar10(*, folder: Path | None = None) -> tuple[ImageSet, ImageSet]:
    """CIFAR-10: 50,000 + 10,000 photographs, 3x32x32, from the python batches, their `.tar.gz` or an `.npz`.

    Args:
        folder: has `cifar-10-batches-py/`, `cifar-10-python.tar.gz` or `cifar10.npz`, in `cifar10/` or directly, or the batches
            themselves. They are pickles, read without running code.

    Raises:
        InputError: a file is absent, damaged or a pickle with code in it; names it.
    """
    return cifar_images(CIFAR10, folder)
