"""Held-out errors, against closed forms: of Gaussian data, of no denoising at all, and of a constant guess."""

import numpy as np
import pytest
import torch

from gradaudit.diffusion import Denoiser
from gradaudit.diffusion.evaluation import denoising_error
from gradaudit.errors import InputError
from gradaudit.images import ImageSet

STD = 0.1


@pytest.fixture(name="images", scope="module")
def images_fixture():
    rng = np.random.default_rng(0)
    pixels = np.clip(np.rint(255 * (0.5 + STD * rng.standard_normal((500, 1, 6, 6)))), 0, 255).astype(np.uint8)
    return ImageSet(pixels, np.arange(500) % 2, ("a", "b"))


def best(noisy, sigma, labels):
    share = STD**2 / (STD**2 + sigma.square())
    return 0.5 + (noisy - 0.5) * share[:, None, None, None]


def test_the_best_denoiser_has_the_error_that_is_least(images):
    table = denoising_error(Denoiser(best), images, sigma=(0.05, 0.1, 0.5), device="cpu")
    for row in table.itertuples():
        expected = STD**2 * row.sigma**2 / (STD**2 + row.sigma**2)
        assert row.error == pytest.approx(expected, rel=0.03)
        assert abs(row.error - expected) < 5 * row.standard_error
        assert row.relative == row.error / row.sigma**2
    assert list(table["given"]) == ["nothing"] * 3


def test_no_denoising_leaves_the_noise_and_a_guess_the_spread(images):
    table = denoising_error(Denoiser(lambda noisy, sigma, labels: noisy), images, device="cpu")
    assert table["relative"].to_numpy() == pytest.approx(np.ones(5), rel=0.03)
    guess = denoising_error(Denoiser(lambda noisy, sigma, labels: torch.full_like(noisy, 0.5)), images, device="cpu")
    assert guess["error"].to_numpy() == pytest.approx(np.full(5, STD**2), rel=0.03)


def test_batches_and_order_change_nothing(images):
    whole = denoising_error(Denoiser(best), images, sigma=(0.2,), device="cpu")
    for other, size in ((images, 7), (images[torch.arange(499, -1, -1)], 256)):
        found = denoising_error(Denoiser(best), other, sigma=(0.2,), device="cpu", batch_size=size)
        assert found["error"].to_numpy() == pytest.approx(whole["error"].to_numpy(), rel=1e-6)
    assert denoising_error(Denoiser(best), images, sigma=(0.2,), seed=1, device="cpu")["error"][0] != whole["error"][0]


def test_a_class_is_given_where_the_denoiser_takes_it(images):
    def told(noisy, sigma, labels):
        return torch.zeros_like(noisy) if labels is None else labels[:, None, None, None] + torch.zeros_like(noisy)

    table = denoising_error(Denoiser(told, classes=2), images, sigma=(0.2,), device="cpu")
    clean = images.floats().double()
    expected = [clean.square().mean(), (clean - images.labels[:, None, None, None]).square().mean()]
    assert list(table["given"]) == ["nothing", "class"]
    assert table["error"].to_numpy() == pytest.approx([float(value) for value in expected], rel=1e-6)


@pytest.mark.parametrize(("argument", "value"), [("sigma", ()), ("sigma", (0.1, -1.0)), ("batch_size", 0), ("device", "abacus")])
def test_a_bad_argument_is_named(images, argument, value):
    with pytest.raises(InputError, match=f"^`{argument}`"):
        denoising_error(Denoiser(best), images, **{argument: value})


def test_images_of_other_classes_are_named(images):
    with pytest.raises(InputError, match=r"^`images`"):
        denoising_error(Denoiser(best, classes=3), images)


def test_a_single_image_is_refused_before_anything_is_denoised(images):
    def never(noisy, sigma, labels):
        raise AssertionError

    with pytest.raises(InputError, match=r"^`images` .* two images or more"):
        denoising_error(Denoiser(never), images[:1], device="cpu")
