"""Denoisers that differ have different fingerprints, also where no tensor tells: a store must not take one for another."""

import pytest
import torch
from torch import nn

from gradaudit.classifiers import classifier_fingerprint
from gradaudit.diffusion import Denoiser
from gradaudit.diffusion.adapters import edm_preconditioned, variance_preserving


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, noisy, noise, labels):
        return self.weight * noisy


def kept(noisy, sigma, labels):
    return noisy


def halved(noisy, sigma, labels):
    return noisy / 2


def scaled(factor):
    return lambda noisy, sigma, labels: factor * noisy


def linear(**options):
    return variance_preserving(Network(), "linear", **options)


@pytest.mark.parametrize(
    ("make", "others"),
    [
        (lambda: Denoiser(kept), [lambda: Denoiser(halved)]),
        (lambda: Denoiser(scaled(1.0)), [lambda: Denoiser(scaled(2.0))]),
        (
            linear,
            [
                lambda: variance_preserving(Network(), "cosine"),
                lambda: linear(prediction="sample"),
                lambda: linear(integer_steps=True),
                lambda: linear(pixel_range=(0.0, 1.0)),
            ],
        ),
        (lambda: variance_preserving(kept, "linear"), [lambda: variance_preserving(halved, "linear")]),
        (
            lambda: edm_preconditioned(Network()),
            [
                lambda: edm_preconditioned(Network(), sigma_data=0.4),
                lambda: edm_preconditioned(Network(), negated=True),
                lambda: edm_preconditioned(Network(), sigma_range=(0.01, 80.0)),
                lambda: edm_preconditioned(kept),
            ],
        ),
        (lambda: edm_preconditioned(kept), [lambda: edm_preconditioned(halved)]),
    ],
    ids=["function", "closure", "variance-preserving", "its function", "edm", "edm's function"],
)
def test_what_decides_the_output_decides_the_fingerprint(make, others):
    own = classifier_fingerprint(make())
    assert classifier_fingerprint(make()) == own
    found = [classifier_fingerprint(other()) for other in others]
    assert len({own, *found}) == 1 + len(others)
