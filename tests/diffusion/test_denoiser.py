"""The interface itself, with the exact denoiser of a Gaussian: D(x; sigma) = m + (x - m) s^2 / (s^2 + sigma^2)."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradaudit.diffusion import Denoiser, score
from gradaudit.errors import InputError

MEAN, STD = 0.4, 0.2


def gaussian(noisy, sigma, labels):
    mean = MEAN if labels is None else labels[:, None, None, None] / 10
    share = STD**2 / (STD**2 + sigma.square())
    return mean + (noisy - mean) * share[:, None, None, None]


EXACT = Denoiser(gaussian, shape=(1, 4, 4), classes=3)


@given(st.floats(0.01, 10), st.integers(0, 1000))
@settings(deadline=None, max_examples=30)
def test_the_score_is_the_gradient_of_the_log_density(sigma, seed):
    noisy = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64, requires_grad=True)
    total = STD**2 + sigma**2
    (expected,) = torch.autograd.grad((-(noisy - MEAN).square() / (2 * total)).sum(), noisy)
    assert torch.allclose(score(EXACT, noisy, sigma), expected, rtol=1e-9)


def test_each_image_has_its_own_sigma_and_class():
    noisy = torch.rand(3, 1, 4, 4)
    sigma, labels = torch.tensor([0.1, 0.5, 2.0]), torch.tensor([2, 0, 1])
    together = score(EXACT, noisy, sigma, labels)
    for index in range(3):
        one = slice(index, index + 1)
        assert torch.allclose(score(EXACT, noisy[one], float(sigma[index]), labels[one]), together[one])


@pytest.mark.parametrize("sigma", [0, -1.0, float("nan"), float("inf"), "much", True, torch.ones(2), torch.tensor([1.0, 0.0, 1.0])])
def test_a_sigma_that_is_none_is_named(sigma):
    with pytest.raises(InputError, match=r"^`sigma` .*above 0"):
        EXACT(torch.rand(3, 1, 4, 4), sigma)


@pytest.mark.parametrize(
    "labels", [torch.tensor([0, 1]), torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0, 1, 3]), torch.tensor([-1, 0, 1]), [0, 1, 2]]
)
def test_labels_that_are_none_are_named(labels):
    with pytest.raises(InputError, match=r"^`labels`"):
        EXACT(torch.rand(3, 1, 4, 4), 0.5, labels)


def test_an_unconditional_denoiser_takes_no_labels():
    with pytest.raises(InputError, match=r"^`labels` .*knows no classes"):
        Denoiser(gaussian)(torch.rand(3, 1, 4, 4), 0.5, torch.tensor([0, 1, 2]))


@pytest.mark.parametrize("noisy", [torch.rand(3, 1, 5, 4), torch.rand(1, 4, 4), torch.zeros(3, 1, 4, 4, dtype=torch.uint8)])
def test_images_of_another_kind_are_named(noisy):
    with pytest.raises(InputError, match=r"^`noisy`"):
        EXACT(noisy, 0.5)


@pytest.mark.parametrize("returned", [lambda noisy: noisy[:, :, :2], lambda noisy: noisy.tolist()])
def test_a_function_that_returns_something_else_is_named(returned):
    with pytest.raises(InputError, match=r"^`denoise` .*to return a tensor of shape \(3, 1, 4, 4\)"):
        Denoiser(lambda noisy, sigma, labels: returned(noisy))(torch.rand(3, 1, 4, 4), 0.5)


@pytest.mark.parametrize(
    ("argument", "value"), [("denoise", 3), ("shape", (4, 4)), ("shape", (0, 4, 4)), ("classes", -1), ("classes", 2.0)]
)
def test_a_bad_argument_is_named(argument, value):
    fields = {"denoise": gaussian} | {argument: value}
    with pytest.raises(InputError, match=f"^`{argument}`"):
        Denoiser(fields.pop("denoise"), **fields)
