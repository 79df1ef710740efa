"""SmoothGrad against its definition."""

import pytest
import torch
from torch import nn

from gradaudit.attributions.logit_gradient import logit_gradient
from gradaudit.attributions.smoothgrad import smoothgrad
from gradaudit.errors import InputError


class Cubes(nn.Module):
    """Logits sum(x^3) and its negative: the gradient at x + n is 3 (x + n)^2, on average 3 (x^2 + noise^2)."""

    def forward(self, images):
        total = images.pow(3).flatten(1).sum(1)
        return torch.stack([total, -total], 1)


IMAGES = torch.linspace(0, 1, 50).view(2, 1, 5, 5)
TARGETS = torch.tensor([0, 1])


def test_without_noise_it_is_the_gradient():
    torch.testing.assert_close(smoothgrad(Cubes(), IMAGES, TARGETS, noise=0), logit_gradient(Cubes(), IMAGES, TARGETS))


def test_its_expectation_on_a_cubic():
    scores = smoothgrad(Cubes(), IMAGES, TARGETS, samples=4000, noise=0.2)
    expected = 3 * (IMAGES**2 + 0.04) * torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)
    # The standard error is at most 3 * sqrt(4 * 0.04 + 2 * 0.04^2) / sqrt(4000) = 0.019.
    torch.testing.assert_close(scores, expected, atol=0.09, rtol=0)


def test_squared_is_the_mean_square():
    few = [smoothgrad(Cubes(), IMAGES, TARGETS, samples=n, squared=flag) for n, flag in ((1, False), (1, True))]
    torch.testing.assert_close(few[1], few[0].square())
    assert (smoothgrad(Cubes(), IMAGES, TARGETS, squared=True) >= 0).all()


def test_seeds_differ():
    first, second = (smoothgrad(Cubes(), IMAGES, TARGETS, samples=2, seed=seed) for seed in (0, 1))
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("option", [{"samples": 0}, {"samples": 2.5}, {"noise": -0.1}, {"of": "margin"}, {"seed": 0.5}])
def test_a_bad_option_is_named(option):
    with pytest.raises(InputError, match=f"`{next(iter(option))}`"):
        smoothgrad(Cubes(), IMAGES, TARGETS, **option)
