"""The loss, against what it must come to for denoisers that are known."""

import math

import pytest
import torch
from torch import nn

from gradaudit.diffusion.objective import denoising
from gradaudit.diffusion.preconditioning import Preconditioned


class Fixed(nn.Module):
    """A denoiser in training that shrinks towards grey by a rule, and keeps the labels that it saw."""

    classes, sigma_data = 10, 0.5

    def __init__(self, shrink):
        super().__init__()
        self.shrink = shrink

    def forward(self, noisy, sigma, labels):
        self.sigma, self.labels = sigma, labels
        return 0.5 + (noisy - 0.5) * self.shrink(2 * sigma)[:, None, None, None]


def gaussians(count):
    return 0.5 + 0.25 * torch.randn(count, 1, 4, 4)  # of deviation sigma_data = 0.5, scaled to [-1, 1]


class Zero(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, noisy, noise, labels):
        return 0 * self.weight + torch.zeros_like(noisy)


@pytest.mark.parametrize("log_mean", [-1.2, 0.5])
def test_an_untrained_denoiser_has_a_loss_of_one_at_any_noise(log_mean):
    torch.manual_seed(0)
    images = gaussians(4000)
    loss = denoising(Preconditioned(Zero(), 10), images, torch.zeros(4000, dtype=torch.int64), log_mean=log_mean)
    assert float(loss.detach()) == pytest.approx(1, abs=0.03)


def test_the_best_denoiser_of_gaussians_keeps_exactly_that_and_others_have_more():
    torch.manual_seed(0)
    images, labels = gaussians(4000), torch.zeros(4000, dtype=torch.int64)
    losses = [
        denoising(Fixed(rule), images, labels) for rule in (lambda s: 0.25 / (0.25 + s**2), torch.ones_like, torch.zeros_like)
    ]
    assert float(losses[0]) == pytest.approx(1, abs=0.03)  # error s^2 d^2 / (s^2 + d^2), weight its inverse
    assert min(losses[1:]) > 1.5


def test_noise_levels_are_log_normal_and_halved_for_pixels_of_0_to_1():
    torch.manual_seed(0)
    model = Fixed(torch.ones_like)
    denoising(model, gaussians(20000), torch.zeros(20000, dtype=torch.int64), log_mean=-0.6, log_std=1.3)
    logs = (2 * model.sigma).log()
    assert float(logs.mean()) == pytest.approx(-0.6, abs=4 * 1.3 / math.sqrt(20000))
    assert float(logs.std()) == pytest.approx(1.3, abs=0.03)


@pytest.mark.parametrize("dropped", [0.0, 0.1, 1.0])
def test_a_share_of_the_labels_gives_way_to_the_null_class(dropped):
    torch.manual_seed(0)
    model, labels = Fixed(torch.ones_like), torch.arange(10000) % 10
    denoising(model, gaussians(10000), labels, dropped=dropped)
    gone = model.labels == 10
    assert float(gone.float().mean()) == pytest.approx(dropped, abs=0.015)
    assert torch.equal(model.labels[~gone], labels[~gone])
