"""Augmentation against image-by-image loops over every possible crop and mirroring."""

import numpy as np
import pytest
import torch

from gradaudit.devices import seeded
from gradaudit.errors import InputError
from gradaudit.training import Recipe, train
from gradaudit.training.augmentation import augmented, cropped, flipped


def images(count=200, channels=3, side=6):
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(0)) + 0.1


def crops(image):
    """The 81 crops of one image (C, H, W) after padding by 4, as in He et al. (2016)."""
    padded = np.pad(image.numpy(), ((0, 0), (4, 4), (4, 4)))
    height, width = image.shape[1:]
    return {(down, right): padded[:, down : down + height, right : right + width] for down in range(9) for right in range(9)}


def where(image, possible):
    return [place for place, crop in possible.items() if np.array_equal(image.numpy(), crop)]


def test_every_image_is_one_of_its_crops_each_as_likely():
    before = images(900, channels=1)
    with seeded(0):
        after = cropped(before)
    places = [where(moved, crops(image)) for image, moved in zip(before, after, strict=True)]
    assert all(len(found) == 1 for found in places)
    down, right = np.array([found[0] for found in places]).T
    for offsets in (down, right):
        counts = np.bincount(offsets, minlength=9)
        assert len(counts) == 9
        assert counts.min() > 60  # 100 expected, deviation 9.4
        assert counts.max() < 140
    assert abs(np.corrcoef(down, right)[0, 1]) < 0.12


def test_channels_move_together():
    before = images(20)
    with seeded(0):
        after = cropped(before)
    assert all(len(where(moved, crops(image))) == 1 for image, moved in zip(before, after, strict=True))


def test_half_of_the_images_are_mirrored_and_only_left_to_right():
    before = images(1000, side=3)
    with seeded(0):
        after = flipped(before)
    mirrored = [bool(torch.equal(a, torch.from_numpy(b.numpy()[:, :, ::-1].copy()))) for a, b in zip(after, before, strict=True)]
    same = [bool(torch.equal(a, b)) for a, b in zip(after, before, strict=True)]
    assert all(one != other for one, other in zip(mirrored, same, strict=True))
    assert 430 < sum(mirrored) < 570


@pytest.mark.parametrize("augment", ["flip", "crop-flip"])
def test_it_follows_the_seed_and_leaves_the_images(augment):
    before = images()
    copy = before.clone()
    found = []
    for seed in (0, 0, 1):
        with seeded(seed):
            found.append(augmented(before, augment))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert torch.equal(before, copy)
    assert found[0].shape == before.shape


def test_none_is_nothing_and_draws_nothing():
    before = images()
    with seeded(0):
        expected = torch.rand(3)
    with seeded(0):
        assert augmented(before, "none") is before
        assert torch.equal(torch.rand(3), expected)


def test_a_recipe_augments(small):
    recipe = Recipe(network="linear", epochs=1)
    plain, moved = (train(recipe.with_(augment=augment), small, device="cpu") for augment in ("none", "crop-flip"))
    assert not torch.equal(*(next(classifier.parameters()) for classifier in (plain, moved)))
    with pytest.raises(InputError, match=r"`augment` .*'none', 'flip' or 'crop-flip'"):
        Recipe(augment="crop")
