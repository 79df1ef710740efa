"""Small images in an `.npz`."""

import numpy as np
import pytest

TRAIN, TEST, SIDE, CLASSES = 60, 30, 8, 3


@pytest.fixture(name="images")
def images_fixture(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(TRAIN + TEST) % CLASSES
    pixels = rng.integers(0, 60, (TRAIN + TEST, SIDE, SIDE), dtype=np.uint8)
    pixels[np.arange(TRAIN + TEST), 2, 2 * labels] = 255
    halves = {"train_images": pixels[:TRAIN], "train_labels": labels[:TRAIN]}
    np.savez(tmp_path / "images.npz", **halves, test_images=pixels[TRAIN:], test_labels=labels[TRAIN:])
    return tmp_path / "images.npz"
