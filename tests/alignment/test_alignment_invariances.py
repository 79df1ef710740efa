"""What must change nothing: the scale of a gradient, the order of the images, the batch, the state of the modules."""

import numpy as np
import pytest
import torch

from gradaudit.instruments.alignment import alignment

OPTIONS = {"sigma": (0.2, 0.5), "gradient": ["logit", "log_probability"], "score": ["bayes", "unconditional"], "device": "cpu"}


def numbers(result):
    return np.array(result.details["values"])


@pytest.mark.parametrize("noise", ["none", "matched"])
@pytest.mark.parametrize("size", [1, 7, 30])
def test_the_batch_size(mixture, network, noise, size):
    images, denoiser = mixture.images(), mixture.denoiser()
    whole, parts = (alignment(network, images, denoiser, noise=noise, batch_size=one, **OPTIONS) for one in ("auto", size))
    np.testing.assert_allclose(numbers(whole), numbers(parts), atol=1e-6)
    assert whole.verdict == parts.verdict


@pytest.mark.parametrize("noise", ["none", "matched"])
def test_permuting_images_permutes_values(mixture, network, noise):
    images = mixture.images()
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    straight, shuffled = (alignment(network, one, mixture.denoiser(), noise=noise, **OPTIONS) for one in (images, images[order]))
    np.testing.assert_allclose(numbers(straight)[:, order], numbers(shuffled), atol=1e-6)


@pytest.mark.parametrize("scale", [1e-18, 1e15])
def test_the_scale_of_a_logit(mixture, linear, constant, scale):
    images, denoiser = mixture.images(), constant(torch.linspace(-1, 2, 20).reshape(1, 4, 5))
    one, other = (
        alignment(linear(factor), images, denoiser, similarity=["cosine", "rank_correlation"], device="cpu")
        for factor in (1.0, scale)
    )
    np.testing.assert_allclose(numbers(one), numbers(other), atol=1e-6)


def test_the_seed_decides_noise_and_controls(mixture, network):
    images, denoiser = mixture.images(), mixture.denoiser()
    first, again, other = (alignment(network, images, denoiser, noise="matched", seed=seed, **OPTIONS) for seed in (0, 0, 1))
    assert first.to_json() == again.to_json()
    assert abs(numbers(first) - numbers(other)).max() > 0.01


def test_modules_are_left_as_they_were(mixture, network):
    denoiser = mixture.denoiser()
    network.train()
    network.layers[0].weight.requires_grad_(False)
    alignment(network, mixture.images(), denoiser, **OPTIONS)
    assert network.training
    assert denoiser.training
    assert [parameter.requires_grad for parameter in network.parameters()] == [False, True, True, True]
    assert all(parameter.grad is None for parameter in network.parameters())
