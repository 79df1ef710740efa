"""Noisy linear imputation against one sparse direct solve a plane."""

import numpy as np
import pytest
import torch
from scipy.sparse import lil_matrix
from scipy.sparse.linalg import spsolve

from gradaudit.errors import InputError
from gradaudit.fills import resolve_fill


def solved(plane, known):
    """The paper's equations, one row a removed pixel, as they are written."""
    height, width = plane.shape
    places = [tuple(at) for at in np.argwhere(~known)]
    row_of = {at: row for row, at in enumerate(places)}
    matrix, right = lil_matrix((len(places), len(places))), np.zeros(len(places))
    for row, (i, j) in enumerate(places):
        near = [(i + a, j + b, 1 / 12 if a and b else 1 / 6) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]
        near = [(k, m, weight) for k, m, weight in near if 0 <= k < height and 0 <= m < width]
        total = sum(weight for *_, weight in near)
        matrix[row, row] = 1.0
        for k, m, weight in near:
            if known[k, m]:
                right[row] += weight / total * plane[k, m]
            else:
                matrix[row, row_of[k, m]] -= weight / total
    filled = plane.copy()
    if places:
        filled[~known] = spsolve(matrix.tocsc(), right)
    return filled


def some_images(make_images, shape, count=6):
    train = make_images(count=count, shape=shape)
    return train, train.floats().double()


def keeping(share, shape, seed=0):
    """Masks that keep the given share of the coordinates at random."""
    order = (
        torch.rand(shape[0], shape[1] * shape[2] * shape[3], generator=torch.Generator().manual_seed(seed)).argsort(1).argsort(1)
    )
    return (order < round(share * order.shape[1])).view(shape)


@pytest.mark.parametrize("share", [0.02, 0.08, 0.12, 0.3, 0.9])
@pytest.mark.parametrize(("shape", "pixels"), [((1, 28, 28), True), ((3, 12, 9), False), ((1, 1, 30), True)])
def test_it_solves_the_equations(make_images, share, shape, pixels):
    train, images = some_images(make_images, shape)
    mask = keeping(share, (6, 1 if pixels else shape[0], *shape[1:]))
    filled = resolve_fill("imputation(noise=0)", train)(images, mask)
    for image, where, result in zip(images, mask.expand_as(images), filled, strict=True):
        for plane, known, found in zip(image.numpy(), where.numpy(), result.numpy(), strict=True):
            if known.any():
                np.testing.assert_allclose(found, solved(plane, known), atol=1e-4)


@pytest.mark.parametrize("where", ["corner", "one", "border", "half", "all"])
def test_large_holes(make_images, where):
    train, images = some_images(make_images, (1, 20, 20), count=2)
    mask = torch.zeros(2, 1, 20, 20, dtype=torch.bool)
    chosen = {
        "corner": np.s_[..., :4, :4],
        "one": np.s_[..., 13:14, 3:4],
        "border": np.s_[..., :, 0],
        "half": np.s_[..., 10:, :],
        "all": np.s_[...],
    }
    mask[chosen[where]] = True
    filled = resolve_fill("imputation(noise=0)", train)(images, mask)
    for image, known, found in zip(images[:, 0].numpy(), mask[:, 0].numpy(), filled[:, 0].numpy(), strict=True):
        np.testing.assert_allclose(found, solved(image, known), atol=1e-4)


def test_single_precision_is_good_to_a_fraction_of_a_grey_level(make_images):
    train, images = some_images(make_images, (1, 28, 28))
    fill = resolve_fill("imputation(noise=0)", train)
    for share in (0.02, 0.3):
        mask = keeping(share, (6, 1, 28, 28))
        torch.testing.assert_close(fill(images.float(), mask).double(), fill(images, mask), atol=2e-4, rtol=0)


def test_a_channel_of_which_nothing_is_kept_becomes_the_training_mean(train):
    images = train.floats(slice(0, 2))
    mask = torch.ones(2, *train.shape, dtype=torch.bool)
    mask[0, 1] = False
    filled = resolve_fill("imputation(noise=0)", train)(images, mask)
    torch.testing.assert_close(filled[0, 1], train.mean()[1].expand(6, 5), atol=1e-6, rtol=0)
    assert torch.equal(filled[1], images[1])


def test_many_planes_are_solved_as_few(make_images, monkeypatch):
    from gradaudit.fills import _linear

    train, images = some_images(make_images, (3, 9, 9), count=20)
    mask = torch.cat([keeping(0.05, (10, 3, 9, 9)), keeping(0.5, (10, 3, 9, 9))])[torch.randperm(20)]
    fill = resolve_fill("imputation(noise=0)", train)
    whole = fill(images, mask)
    monkeypatch.setitem(_linear.AT_ONCE, "cpu", 7)
    torch.testing.assert_close(fill(images, mask), whole, atol=1e-5, rtol=0)


def test_the_noise_has_its_deviation_and_follows_the_seed(make_images):
    train, images = some_images(make_images, (1, 28, 28), count=20)
    mask = keeping(0.3, (20, 1, 28, 28))
    plain = resolve_fill("imputation(noise=0)", train)(images, mask)
    inside = ~mask & (plain > 0.2) & (plain < 0.8)
    for noise in (0.01, 0.05):
        fills = [resolve_fill(f"imputation(noise={noise})", train, seed=seed) for seed in (0, 0, 1)]
        first, again, other = (fill(images, mask) for fill in fills)
        assert float((first - plain)[inside].std()) == pytest.approx(noise, rel=0.03)
        assert float((first - plain)[inside].mean()) == pytest.approx(0, abs=noise / 20)
        assert torch.equal(first, again)
        assert not torch.equal(first, other)


def test_images_whose_kept_pixels_are_all_black_have_noise_of_their_own(make_images):
    train, _ = some_images(make_images, (1, 12, 12))
    black, mask = torch.zeros(2, 1, 12, 12), keeping(0.1, (2, 1, 12, 12))
    fill = resolve_fill("imputation(noise=0.1)", train)
    removed = ~mask.any(dim=0)
    first, second = fill(black, mask)[:, removed]
    assert float((first == second).float().mean()) < 0.5  # a quarter is cut to black in both
    assert torch.equal(fill(black[:1], mask[:1])[0], fill(black, mask)[0])


@pytest.mark.parametrize("noise", [-0.01, float("inf"), "much", True])
def test_a_bad_noise_is_refused(noise, train):
    with pytest.raises(InputError, match="`noise`"):
        resolve_fill({"name": "imputation", "noise": noise}, train)
