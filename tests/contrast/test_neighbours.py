"""The contrast with unlike neighbours, counted by hand and against a slow loop."""

import pytest
import torch

import gradaudit as ga
from gradaudit.instruments.contrast import neighbours as module


def test_two_clusters_in_closed_form(made):
    train = made.flat([10, 20, 30, 200, 210, 220], [0, 0, 0, 1, 1, 1])
    found = ga.class_contrasts(made.flat([12, 218], [0, 1]), train, neighbours=2)
    expected = torch.tensor([(10 + 20) / 2 - (200 + 210) / 2, (210 + 220) / 2 - (20 + 30) / 2]) / 255
    torch.testing.assert_close(found.maps[:, 0, 0, 0], expected)
    assert found.maps[:, 0, 0, 1].abs().max() == 0
    assert found.voted.tolist() == [0, 1]


def test_targets_say_whose_neighbours_are_the_images_own(made):
    train = made.flat([10, 20, 200, 210], [0, 0, 1, 1])
    image = made.flat([12], [0])
    own, other = (ga.class_contrasts(image, train, neighbours=1, targets=torch.tensor([one])) for one in (0, 1))
    assert torch.equal(own.maps, -other.maps)
    assert own.maps[0, 0, 0, 0] * 255 == pytest.approx(10 - 200)


def test_the_image_itself_is_no_neighbour_of_its_own(made):
    train = made.flat([100, 100, 101, 130, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1])
    found = ga.class_contrasts(made.flat([100], [0]), train, neighbours=1)
    assert found.maps[0, 0, 0, 0] * 255 == pytest.approx(101)  # one grey level off is another image
    fewer = ga.class_contrasts(made.flat([100], [0]), train, neighbours=3)
    assert fewer.maps[0, 0, 0, 0] * 255 == pytest.approx((101 + 130) / 2)  # two of four are copies, so two are left


def test_the_image_itself_is_found_among_large_bright_images():
    """Where squared sums are so large that a distance of zero is not computed as zero."""
    pixels = torch.randint(200, 256, (8, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    train = ga.ImageSet(pixels, torch.arange(8) % 2, ("a", "b"))
    found = ga.class_contrasts(train, train, neighbours=3)
    floats = train.floats()
    for place in range(8):
        own = [one for one in range(place % 2, 8, 2) if one != place]
        unlike = torch.cdist(floats[place].flatten()[None].double(), floats[1 - place % 2 :: 2].flatten(1).double())
        chosen = floats[1 - place % 2 :: 2][unlike[0].topk(3, largest=False).indices]
        torch.testing.assert_close(found.maps[place], floats[own].mean(0) - chosen.mean(0))


def test_only_copies_of_an_image_are_refused(made):
    train = made.flat([100, 100, 100, 0, 0], [0, 0, 0, 1, 1])
    with pytest.raises(ga.InputError, match=r"`train`.*the image itself"):
        ga.class_contrasts(made.flat([100], [0]), train, neighbours=2)


def test_most_neighbours_decide_the_vote_and_the_nearest_where_they_are_even(made):
    train = made.flat([10, 12, 100, 101, 102, 200], [0, 0, 1, 1, 1, 2], "abc")
    image = made.flat([104], [1], "abc")
    assert ga.class_contrasts(image, train, neighbours=2).voted.tolist() == [1]
    even = made.flat([50, 90, 150, 0, 255, 254], [0, 1, 2, 0, 1, 2], "abc")
    assert ga.class_contrasts(made.flat([145], [0], "abc"), even, neighbours=1).voted.tolist() == [2]
    for nearest in (0, 1):
        crowd = made.flat([100, 110, 111, 130, 131, 140], [nearest, 1 - nearest, 1 - nearest, nearest, nearest, 1 - nearest])
        assert ga.class_contrasts(made.flat([101], [1]), crowd, neighbours=2).voted.tolist() == [nearest]  # one each


def test_a_slow_loop_gives_the_same(made):
    world = made.mixture(2)
    train, test = world.sample(60, 0), world.sample(9, 1)
    found = ga.class_contrasts(test, train, neighbours=4).maps
    shown, known = test.floats().double(), train.floats().double()
    for place in range(9):
        apart = [float((shown[place] - one).square().sum()) for one in known]
        order = sorted(range(60), key=apart.__getitem__)
        near = [one for one in order if train.labels[one] == test.labels[place]][:4]
        unlike = [one for one in order if train.labels[one] != test.labels[place]][:4]
        torch.testing.assert_close(found[place].double(), known[near].mean(0) - known[unlike].mean(0), atol=1e-6, rtol=0)


def test_the_chunk_does_not_change_the_result(made, monkeypatch):
    world = made.mixture(2)
    train, test = world.sample(100, 0), world.sample(10, 1)
    whole = ga.class_contrasts(test, train, neighbours=5)
    monkeypatch.setattr(module, "CHUNK", 300)  # three images at once
    parts = ga.class_contrasts(test, train, neighbours=5)
    torch.testing.assert_close(parts.maps, whole.maps, atol=1e-6, rtol=0)
    assert torch.equal(parts.voted, whole.voted)


@pytest.mark.parametrize(
    ("levels", "labels"),
    [
        ([1, 2, 3, 4, 5], [0, 0, 1, 1, 1]),  # the own class has two, and more than two are needed
        ([1, 2, 3, 4], [0, 0, 0, 1]),  # only one of the others
        ([1, 2, 3], [1, 1, 1]),  # none
    ],
)
def test_too_few_training_images_are_refused(made, levels, labels):
    with pytest.raises(ga.InputError, match=r"`train` .* more than 2 images of each class .*neighbours=2"):
        ga.class_contrasts(made.flat([9], [0]), made.flat(levels, labels), neighbours=2)


def test_bad_arguments_are_named(made):
    train, image = made.flat([1, 2, 3, 4], [0, 0, 1, 1]), made.flat([9], [0])
    with pytest.raises(ga.InputError, match="`neighbours`"):
        ga.class_contrasts(image, train, neighbours=0)
    with pytest.raises(ga.InputError, match="`targets`"):
        ga.class_contrasts(image, train, neighbours=1, targets=torch.tensor([0, 1]))
    with pytest.raises(ga.InputError, match="`test`"):
        ga.class_contrasts(made.mixture(1).sample(2), train, neighbours=1)
