"""Samplers on Gaussian data, whose denoiser and probability flow are known in closed form.

With data N(m, S), the flow carries x at sigma_max to m + S^1/2 (S + sigma_max^2 I)^-1/2 (x - m) at zero noise.
"""

import math
from itertools import pairwise

import pytest
import torch

from gradaudit.diffusion.sampling import SAMPLERS, noise_levels

SHAPE = (1, 2, 2)
MEAN = torch.tensor([0.2, 0.4, 0.6, 0.8], dtype=torch.float64)
ROOT = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)).Q
VALUES = torch.tensor([0.4, 0.2, 0.1, 0.05], dtype=torch.float64)  # standard deviations along ROOT's columns
TOP = 10.0


def shrink(centred, factors):
    return centred @ ROOT * factors @ ROOT.T


def exact(noisy, sigma):
    centred = noisy.flatten(1) - MEAN
    return (MEAN + shrink(centred, VALUES**2 / (VALUES**2 + sigma**2))).view_as(noisy)


def flowed(noisy):
    centred = noisy.flatten(1) - MEAN
    return (MEAN + shrink(centred, VALUES / (VALUES**2 + TOP**2).sqrt())).view_as(noisy)


def run(spec, noisy, steps, seed=0):
    generator = torch.Generator().manual_seed(seed)
    fresh = lambda: torch.randn(noisy.shape, generator=generator, dtype=torch.float64)  # noqa: E731
    return SAMPLERS.bind("sampler", spec)(exact, noisy, noise_levels(steps, 1e-6, TOP), fresh)


def start(count):
    generator = torch.Generator().manual_seed(1)
    return 0.5 + TOP * torch.randn(count, *SHAPE, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("spec", "order"), [("heun", 2), ("dpm2", 2), ("ddim", 1)])
def test_a_sampler_follows_the_flow_at_its_order(spec, order):
    noisy = start(200)
    errors = [float((run(spec, noisy, steps) - flowed(noisy)).abs().mean()) for steps in (100, 200, 400)]
    for coarse, fine in pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.25)
    assert errors[-1] < (1e-4 if order == 2 else 5e-3)


@pytest.mark.parametrize("spec", ["heun", "dpm2", "heun(churn=20)"])
def test_samples_have_the_mean_and_covariance_of_the_data(spec):
    count = 20000
    noisy = MEAN.view(1, *SHAPE) + TOP * torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = run(spec, noisy, 100).flatten(1)
    covariance = ROOT * VALUES**2 @ ROOT.T
    assert torch.allclose(found.mean(0), MEAN, atol=4 * 0.4 / math.sqrt(count))
    assert torch.allclose(found.T.cov(), covariance, atol=5 * 0.16 * math.sqrt(2 / count))


def test_churn_draws_other_samples_and_none_is_the_deterministic_method():
    noisy = start(5)
    assert torch.equal(run("heun(churn=0)", noisy, 20, seed=1), run("heun", noisy, 20, seed=2))
    first, second = (run("heun(churn=20)", noisy, 20, seed=seed) for seed in (1, 2))
    assert (first - second).abs().mean() > 0.01


def test_noise_levels_are_the_papers():
    found = noise_levels(18, 0.002, 80)  # equation 5, step by step
    expected = [(80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7 for i in range(18)]
    assert found == pytest.approx([*expected, 0.0])
