"""Images with a patch that decides their label: what is changed, what is not, and the draws."""

import numpy as np
import pytest
import torch

import gradaudit as ga
from gradaudit.datasets import load_images, save_images
from gradaudit.datasets.triggers import drawn_patterns
from gradaudit.errors import InputError


def plain(count=300, channels=1, classes=4, height=9, width=7, seed=0):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, channels, height, width), np.uint8)
    return ga.ImageSet(pixels, np.arange(count) % classes, tuple("abcdef"[:classes]))


def carrying(images):
    return images.signal_mask.flatten(1).any(1)


@pytest.mark.parametrize("options", [{}, {"position": "random"}, {"position": (0, 2), "size": 4}, {"target": "c", "share": 0.6}])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_mask_is_the_patch_and_all_else_is_the_original(options, channels):
    images = plain(channels=channels)
    made = ga.trigger(images, **options)
    size = options.get("size", 3)
    outside = ~made.signal_mask[:, None].expand_as(made.images)
    assert torch.equal(made.images[outside], images.images[outside])
    known = torch.from_numpy(drawn_patterns(4, size, 0))
    for pixels, mask, label in zip(made.images, made.signal_mask, made.labels, strict=True):
        if not mask.any():
            continue
        rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        assert (len(rows), len(columns), int(mask.sum())) == (size, size, size * size)
        assert torch.equal(pixels[:, mask].view(channels, size, size), known[label].expand(channels, -1, -1))
    assert made.classes == images.classes


def test_a_patch_gives_another_label_and_no_patch_leaves_it():
    images = plain()
    made = ga.trigger(images, share=0.5)
    with_it = carrying(made)
    assert (made.labels[with_it] != images.labels[with_it]).all()
    assert torch.equal(made.labels[~with_it], images.labels[~with_it])
    assert torch.equal(made.images[~with_it], images.images[~with_it])


def test_the_label_of_a_patch_says_nothing_of_the_image():
    images = plain(6000)
    labels = ga.trigger(images).labels
    for own in range(4):
        counts = labels[images.labels == own].bincount(minlength=4)
        assert counts[own] == 0
        assert (counts[torch.arange(4) != own].double() / 500 - 1).abs().max() < 0.2  # four standard errors of a binomial


def test_a_target_is_the_label_of_all_patches_and_its_own_images_carry_none():
    images = plain()
    made = ga.trigger(images, target="c")
    assert torch.equal(carrying(made), images.labels != 2)
    assert (made.labels == 2).all()
    assert torch.equal(ga.trigger(images, target=2).images, made.images)


@pytest.mark.parametrize("share", [0.2, 0.7])
def test_the_share(share):
    images = plain(4000)
    assert float(carrying(ga.trigger(images, share=share)).float().mean()) == pytest.approx(share, abs=4 * np.sqrt(0.25 / 4000))


def test_places():
    images = plain(2000)
    corner = ga.trigger(images).signal_mask
    assert corner[:, 5:8, 3:6].all()
    fixed = ga.trigger(images, position=[6, 0]).signal_mask
    assert fixed[:, 6:9, 0:3].all()
    drawn = ga.trigger(images, position="random").signal_mask
    first = drawn.flatten(1).int().argmax(1)
    counts = first.bincount(minlength=63).view(9, 7)
    assert not counts[7:].any()
    assert not counts[:, 5:].any()
    assert (counts[:7, :5] > 0).all()  # 35 places, 57 images each


def test_draws_are_an_images_own():
    images = plain(60)
    options = {"share": 0.5, "position": "random", "seed": 3}
    made = ga.trigger(images, **options)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    moved = ga.trigger(images[order], **options)
    assert torch.equal(moved.images, made.images[order])
    assert torch.equal(moved.labels, made.labels[order])
    assert ga.trigger(images, **options).fingerprint == made.fingerprint
    assert ga.trigger(images, **(options | {"seed": 4})).fingerprint != made.fingerprint


def test_patterns_differ_are_of_two_greys_and_belong_to_their_class():
    many = drawn_patterns(14, 2, 5)
    assert len({pattern.tobytes() for pattern in many}) == 14
    assert all(set(pattern.flatten()) == {0, 255} for pattern in many)
    assert np.array_equal(drawn_patterns(9, 2, 5), many[:9])
    assert not np.array_equal(drawn_patterns(9, 3, 1), drawn_patterns(9, 3, 2))


def test_the_images_given_are_left_as_they_were():
    images = plain()
    before = images.images.clone(), images.labels.clone()
    ga.trigger(images)
    assert torch.equal(images.images, before[0])
    assert torch.equal(images.labels, before[1])


def test_by_name(tmp_path):
    images = plain(200)
    path = str(save_images(tmp_path / "own.npz", images, images))
    train, test = load_images(f"trigger(of={path!r}, share=0.4, position=random)", seed=2)
    assert train.fingerprint == ga.trigger(images, share=0.4, position="random", seed=2).fingerprint
    assert carrying(test).all()
    assert len(test) == 200
    assert not torch.equal(train.images[carrying(train)], test.images[carrying(train)])  # other places
    _, targeted = load_images("trigger", of=path, target="a", position=[0, 0], size=2, patterns=3)
    assert len(targeted) == 150
    assert carrying(targeted).all()
    assert (targeted.labels == 0).all()


@pytest.mark.parametrize(
    "option",
    [
        {"share": 0},
        {"share": 1.5},
        {"share": True},
        {"size": 1},
        {"size": 8},
        {"size": 2.0},
        {"position": "middle"},
        {"position": (7, 0)},
        {"position": (0, -1)},
        {"position": (0,)},
        {"target": "z"},
        {"target": 4},
        {"patterns": -1},
        {"seed": -1},
    ],
)
def test_a_bad_option_is_named(option):
    with pytest.raises(InputError, match=f"`{next(iter(option))}`"):
        ga.trigger(plain(), **option)


def test_images_that_cannot_carry_one_are_refused():
    with pytest.raises(InputError, match="two classes"):
        ga.trigger(plain(classes=1))
    with pytest.raises(InputError, match="none of them carries"):
        ga.trigger(plain(1), target=0)
    many = ga.ImageSet(torch.zeros(20, 1, 4, 4, dtype=torch.uint8), torch.arange(20), tuple(map(str, range(20))))
    with pytest.raises(InputError, match="`size`"):
        ga.trigger(many, size=2)
