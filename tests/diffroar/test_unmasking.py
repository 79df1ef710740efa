"""Batches that are unmasked as they are drawn, against a masked copy of the data set made naively."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gradaudit.attributions import rank
from gradaudit.evaluator import build_with_mask
from gradaudit.fills import Fill
from gradaudit.images import ImageSet
from gradaudit.instruments.diffroar.reading import Reading
from gradaudit.instruments.diffroar.unmasking import Split, Unmasking
from gradaudit.training import Recipe

CPU = torch.device("cpu")
COUNT = 9
LEVELS = {1: (0.25,), 3: (0.25, 0.5, 0.75)}
BLACK = Fill(lambda kept, mask: torch.zeros_like(kept))


def constant(levels):
    return Fill(lambda kept, mask: torch.tensor(levels).view(-1, 1, 1).expand_as(kept))


def split_of(channels, features):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (COUNT, channels, 4, 5), dtype=np.uint8)
    scores = torch.from_numpy(rng.standard_normal(images.shape).astype(np.float32))
    return Split(images, np.arange(COUNT), rank(scores, 0, 0, features))


def masked_copy(split, keep, side, content, fill):
    """One feature at a time: the value that the learner is to see there."""
    count, channels, height, width = split.images.shape
    features = split.ranks.shape[1]
    seen, masks = np.empty((2, *split.images.shape), np.float32)
    for image, channel, row, column in np.ndindex(count, channels, height, width):
        place = row * width + column + (channel * height * width if features == channels * height * width else 0)
        place_in_order = int(split.ranks[image, place]) + features // 2
        is_kept = place_in_order < keep if side == "top" else place_in_order >= features - keep
        masks[image, channel, row, column] = is_kept
        pixel = np.float32(split.images[image, channel, row, column]) / np.float32(255)
        seen[image, channel, row, column] = pixel if is_kept else (fill[channel] if fill else 0)
    if content == "both":
        return torch.from_numpy(np.concatenate([seen, masks[:, : features // (height * width)]], axis=1))
    return torch.from_numpy(masks if content == "mask" else seen)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("features", ["coordinates", "pixels"])
@pytest.mark.parametrize("side", ["top", "bottom"])
@pytest.mark.parametrize("content", ["image", "image with fill", "mask", "both", "both with fill"])
def test_batches_are_those_of_a_masked_copy(channels, features, side, content):
    split = split_of(channels, features)
    fill = LEVELS[channels] if content.endswith("with fill") else ()
    unmasking = Unmasking(7, side, content.split()[0], constant(fill) if fill else BLACK)
    images, labels = unmasking.draw(split, CPU)(torch.tensor([4, 0, 8, 4]))
    expected = masked_copy(split, 7, side, unmasking.content, fill)
    assert torch.equal(images, expected[[4, 0, 8, 4]])
    assert labels.tolist() == [4, 0, 8, 4]


@pytest.mark.parametrize("features", ["coordinates", "pixels"])
@pytest.mark.parametrize("side", ["top", "bottom"])
@pytest.mark.parametrize("shift", [0, 2, COUNT + 5])
def test_learners_and_evaluators_see_the_mask_of_the_image_that_many_places_on(features, side, shift):
    split = split_of(3, features)
    turned = replace(split, ranks=split.ranks[[(place + shift) % COUNT for place in range(COUNT)]])
    expected = masked_copy(turned, 7, side, "mask", ())
    learners, _ = Unmasking(7, side, "mask", None, shift).draw(split, CPU)(torch.arange(COUNT))
    assert torch.equal(learners, expected)
    images = ImageSet(split.images, np.zeros(COUNT, int), ("a",))
    evaluators = Reading(split.ranks, "", 7, side, shift).masks(images, features)
    assert torch.equal(evaluators.expand(expected.shape).float(), expected)


def test_without_a_ranking_an_evaluator_reads_every_feature():
    images = ImageSet(split_of(3, "pixels").images, np.zeros(COUNT, int), ("a",))
    for features, channels in (("coordinates", 3), ("pixels", 1)):
        masks = Reading(None, "", 7, "top").masks(images, features)
        assert masks.shape == (COUNT, channels, 4, 5)
        assert masks.all()


def test_whole_images_are_shown_as_they_are():
    split = split_of(3, "coordinates")
    images, labels = Unmasking(0, "top", "whole", None).draw(replace(split, ranks=None), CPU)(torch.arange(3))
    assert torch.equal(images, torch.from_numpy(split.images[:3]).float() / 255)
    assert labels.tolist() == [0, 1, 2]


def test_images_that_come_filled_are_shown_as_they_are():
    split = replace(split_of(3, "pixels"), filled=True)
    images, _ = Unmasking(7, "top", "both", None).draw(split, CPU)(torch.arange(3))
    assert torch.equal(images[:, :3], torch.from_numpy(split.images[:3]).float() / 255)
    assert torch.equal(images[:, 3:], masked_copy(split, 7, "top", "mask", ())[:3, :1])


def test_the_recipes_normalisation_is_the_images_alone():
    """One weight for each input: what reaches the network shows in the gradient of its output towards the weights."""
    recipe = Recipe(network="linear", normalisation=((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)))
    learner = build_with_mask(recipe, (3, 2, 2), 1, 2)
    seen = torch.rand(1, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    learner(seen)[0, 0].backward()
    reached = next(weight.grad for weight in learner.parameters() if weight.ndim == 2)[0].view(4, 2, 2)
    mean, std = torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1), torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1)
    torch.testing.assert_close(reached, torch.cat([(seen[0, :3] - mean) / std, seen[0, 3:]]))


def test_drawing_leaves_images_and_ranks_as_they_were():
    split = split_of(1, "coordinates")
    before = split.images.copy(), split.ranks.copy()
    Unmasking(3, "top", "image", BLACK).draw(split, CPU)(torch.arange(COUNT))[0].fill_(7)
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
        if isinstance(result, torch.Tensor) and result.data_ptr() not in self.addresses:
            self.largest = max(self.largest, result.nbytes)
        return result


def test_no_masked_copy_of_the_set_is_made():
    """A few images drawn from many make tensors of the size of the few."""
    images, ranks = np.zeros((20_000, 1, 28, 28), np.uint8), np.zeros((20_000, 784), np.int16)
    split = Split(images, np.zeros(20_000, int), ranks)
    with LargestTensor(images, ranks, split.labels) as seen:
        drawn, _ = Unmasking(3, "top", "image", constant((0.5,))).draw(split, CPU)(torch.arange(8))
    assert drawn.nbytes <= seen.largest <= 2 * drawn.nbytes
