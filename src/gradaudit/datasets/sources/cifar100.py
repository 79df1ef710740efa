"""CIFAR-100: Krizhevsky (2009), "Learning multiple layers of features from tiny images"."""

from __future__ import annotations

from pathlib import Path

from gradaudit.datasets.sources._cifar import Cifar, cifar_images
from gradaudit.images import ImageSet

CIFAR100 = Cifar(
    name="cifar100",
    torchvision="CIFAR100",
    folder="cifar-100-python",
    archive="cifar-100-python.tar.gz",
    train=("train",),
    test="test",
    meta="meta",
    labels=b"fine_labels",
    names=b"fine_label_names",
)


def cifar100(*, folder: Path | None = None) -> tuple[ImageSet, ImageSet]:
    """CIFAR-100: 50,000 + 10,000 photographs of 100 fine classes, 3x32x32, from the python batches, their `.tar.gz` or an `.npz`.

    Args:
        folder: has `cifar-100-python/`, `cifar-100-python.tar.gz` or `cifar100.npz`, in `cifar100/` or directly, or the batches
            themselves. They are pickles, read without running code.

    Raises:
        InputError: a file is absent, damaged or a pickle with code in it; names it.
    """
    return cifar_images(CIFAR100, folder)
