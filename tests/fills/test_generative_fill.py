"""Generative fill on a Gaussian, whose distribution given some of its values is known."""

import pytest
import torch

import gradaudit as ga
from gradaudit.errors import InputError
from gradaudit.fills import resolve_fill

SIDE, STD, LENGTH = 3, 0.15, 1.0
MASK = torch.tensor([1, 0, 0, 0, 1, 0, 0, 1, 0], dtype=torch.bool)
VALUES = torch.tensor([0.35, 0.6, 0.7])


def covariance():
    """Of a smooth field: pixels near each other are alike."""
    grid = torch.cartesian_prod(torch.arange(SIDE), torch.arange(SIDE)).double()
    return STD**2 * torch.exp(-torch.cdist(grid, grid).square() / (2 * LENGTH**2))


def exact(noisy, sigma, labels):
    """E[x0 | x] of the Gaussian with mean 0.5 and this covariance."""
    known = covariance()
    total = known + sigma[0].double() ** 2 * torch.eye(SIDE**2, dtype=torch.float64)
    return (0.5 + (noisy.flatten(1).double() - 0.5) @ torch.linalg.solve(total, known)).view_as(noisy).to(noisy.dtype)


def given():
    """Mean and covariance of the removed pixels given the kept ones."""
    every = covariance()
    near = every[~MASK][:, MASK] @ torch.linalg.inv(every[MASK][:, MASK])
    return 0.5 + near @ (VALUES.double() - 0.5), every[~MASK][:, ~MASK] - near @ every[MASK][:, ~MASK]


def errors(train, count=1000, **options):
    """How far the drawn pixels' mean is off, in deviations, and their covariance, relative."""
    kept = torch.zeros(count, SIDE**2)
    kept[:, MASK] = VALUES
    kept[:, 0] += torch.arange(count) * 3e-7  # so that each is an image of its own, with its own draws
    fill = resolve_fill({"name": "generative", "denoiser": exact, **options}, train)
    images = (part.view(-1, 1, SIDE, SIDE) for part in (kept, MASK.expand(count, -1)))
    drawn = fill(*images).flatten(1)[:, ~MASK].double()
    mean, covariance = given()
    off = (drawn.mean(dim=0) - mean).abs().max() / covariance.diag().mean().sqrt()
    return float(off), float((drawn.mT.cov() - covariance).norm() / covariance.norm())


@pytest.fixture(name="grey", scope="module")
def grey_fixture(make_images):
    return make_images(shape=(1, SIDE, SIDE))


def test_draws_are_those_of_the_conditional_as_steps_and_jumps_grow(grey):
    mean, spread = errors(grey, steps=24, jumps=10)
    assert mean < 0.2
    assert spread < 0.2


def test_the_default_is_this_far_off(grey):
    mean, spread = errors(grey)
    assert 0.2 < mean < 0.45
    assert 0.2 < spread < 0.45


def test_without_jumps_it_is_further_off(grey):
    assert errors(grey, steps=8, jumps=0)[0] > errors(grey, steps=8, jumps=2)[0] + 0.1


def test_images_whose_kept_pixels_are_all_black_have_draws_of_their_own(grey):
    """By a denoiser of independent pixels, so that which are kept shows elsewhere in the noise alone."""
    fill = resolve_fill({"name": "generative", "denoiser": lambda noisy, sigma, labels: 0.5 + 0.2 * (noisy - 0.5)}, grey)
    masks = torch.stack([MASK, MASK.flip(0)]).view(2, 1, SIDE, SIDE)
    removed, black = ~masks.any(dim=0), torch.zeros(2, 1, SIDE, SIDE)
    first, second = fill(black, masks)[:, removed]
    assert bool((first != second).all())
    same = fill(black, masks[:1].expand(2, -1, -1, -1))[:, removed]
    assert torch.equal(same[0], same[1])


def test_it_knows_no_class(make_images):
    train = make_images(shape=(1, 6, 5))
    seen = []

    def denoise(noisy, sigma, labels):
        seen.append(labels)
        return noisy * 0 + 0.5

    denoiser = ga.Denoiser(denoise, shape=(1, 6, 5), classes=10)
    resolve_fill({"name": "generative", "denoiser": denoiser}, train)(train.floats(), torch.zeros(50, 1, 6, 5, dtype=torch.bool))
    assert len(seen) == 22
    assert set(seen) == {None}


def test_its_name_and_key(grey):
    options = {"name": "generative", "denoiser": exact}
    fill = resolve_fill(options, grey)
    assert fill.costly
    assert fill.name == "generative(denoiser=exact)"
    changed = [resolve_fill(options | more, grey).key for more in ({"steps": 9}, {"jumps": 3}, {"denoiser": lambda x, s, y: x})]
    assert len({fill.key, *changed}) == 4


def test_from_the_zoo():
    train, _ = ga.load_images("mnist5k")
    fill = resolve_fill("generative(denoiser='zoo:mnist', steps=2, jumps=0)", train)
    images = train.floats(slice(0, 2))
    mask = torch.rand(images.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    filled = fill(images, mask)
    assert torch.equal(filled[mask], images[mask])
    assert fill.name == "generative(denoiser='zoo:mnist', jumps=0, steps=2)"


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"steps": 1}, "steps"),
        ({"steps": 2.5}, "steps"),
        ({"jumps": -1}, "jumps"),
        ({"jumps": True}, "jumps"),
        ({"denoiser": "zoo:nothing"}, "source"),
        ({"denoiser": "zoo:mnist"}, "denoiser"),
    ],
)
def test_bad_options_are_refused(grey, options, argument):
    with pytest.raises(InputError, match=f"`{argument}`"):
        resolve_fill({"name": "generative", "denoiser": exact, **options}, grey)
