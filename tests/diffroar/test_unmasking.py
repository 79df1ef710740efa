"""Batches that are unmasked as they are drawn, against a masked copy of the data set made naively."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gradaudit.attributions import rank
from gradaudit.instruments.diffroar.cells import Cell, Split, unmasking
from gradaudit.training import Recipe

CPU = torch.device("cpu")
COUNT = 9
FILL = {1: (0.25,), 3: (0.25, 0.5, 0.75)}


def split_of(channels, features):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (COUNT, channels, 4, 5), dtype=np.uint8)
    scores = torch.from_numpy(rng.standard_normal(images.shape).astype(np.float32))
    return Split(images, np.arange(COUNT), rank(scores, 0, 0, features))


def masked_copy(split, keep, side, content, fill):
    """One feature at a time: the value that the learner is to see there."""
    count, channels, height, width = split.images.shape
    features = split.ranks.shape[1]
    seen = np.empty(split.images.shape, np.float32)
    for image, channel, row, column in np.ndindex(count, channels, height, width):
        place = row * width + column + (channel * height * width if features == channels * height * width else 0)
        place_in_order = int(split.ranks[image, place]) + features // 2
        is_kept = place_in_order < keep if side == "top" else place_in_order >= features - keep
        if content == "mask":
            seen[image, channel, row, column] = is_kept
        else:
            pixel = np.float32(split.images[image, channel, row, column]) / np.float32(255)
            seen[image, channel, row, column] = pixel if is_kept else (fill[channel] if fill else 0)
    return torch.from_numpy(seen)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("features", ["coordinates", "pixels"])
@pytest.mark.parametrize("side", ["top", "bottom"])
@pytest.mark.parametrize("content", ["image", "image with fill", "mask"])
def test_batches_are_those_of_a_masked_copy(channels, features, side, content):
    split = split_of(channels, features)
    fill = FILL[channels] if content == "image with fill" else ()
    cell = Cell(7, side, content.split()[0], fill, Recipe())
    images, labels = unmasking(cell, split, CPU)(torch.tensor([4, 0, 8, 4]))
    expected = masked_copy(split, 7, side, cell.content, fill)
    assert torch.equal(images, expected[[4, 0, 8, 4]])
    assert labels.tolist() == [4, 0, 8, 4]


def test_whole_images_are_shown_as_they_are():
    split = split_of(3, "coordinates")
    images, labels = unmasking(Cell(0, "top", "whole", (), Recipe()), Split(split.images, split.labels, None), CPU)(torch.arange(3))
    assert torch.equal(images, torch.from_numpy(split.images[:3]).float() / 255)
    assert labels.tolist() == [0, 1, 2]


def test_drawing_leaves_images_and_ranks_as_they_were():
    split = split_of(1, "coordinates")
    before = split.images.copy(), split.ranks.copy()
    unmasking(Cell(3, "top", "image", (), Recipe()), split, CPU)(torch.arange(COUNT))[0].fill_(7)
    np.testing.assert_array_equal(split.images, before[0])
    np.testing.assert_array_equal(split.ranks, before[1])


class LargestTensor(TorchDispatchMode):
    """Remembers the size in bytes of the largest new tensor; views of the arrays are not new."""

    def __init__(self, *arrays):
        super().__init__()
        self.addresses = [array.ctypes.data for array in arrays]
        self.largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if result.data_ptr() not in self.addresses:
            self.largest = max(self.largest, result.nbytes)
        return result


def test_no_masked_copy_of_the_set_is_made():
    """A few images drawn from many make tensors of the size of the few."""
    images, ranks = np.zeros((20_000, 1, 28, 28), np.uint8), np.zeros((20_000, 784), np.int16)
    split = Split(images, np.zeros(20_000, int), ranks)
    with LargestTensor(images, ranks, split.labels) as seen:
        drawn, _ = unmasking(Cell(3, "top", "image", (0.5,), Recipe()), split, CPU)(torch.arange(8))
    assert drawn.nbytes <= seen.largest <= 2 * drawn.nbytes
