"""Controls: no classifier, no position, no batch in them."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from gradaudit.attributions import resolve_attribution
from gradaudit.attributions.blurred_random import blurred_random
from gradaudit.attributions.edges import edges
from gradaudit.attributions.random import random
from gradaudit.errors import InputError


def images(count, *shape, seed=0):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ["random", "blurred_random", "edges"])
def test_controls_need_no_classifier(name):
    found = resolve_attribution(name)
    assert not found.needs_classifier
    assert found.function(None, images(2, 3, 6, 5), None).shape == (2, 3, 6, 5)


def test_random_scores_are_standard_normal():
    scores = random(None, images(40, 1, 28, 28), None)
    assert scores.mean().item() == pytest.approx(0, abs=0.02)
    assert scores.std().item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("function", [random, blurred_random])
def test_noise_is_the_images_own(function):
    pair = images(2, 1, 8, 8)
    scores = function(None, pair, None)
    assert torch.equal(scores, function(None, pair, None))
    assert not torch.allclose(scores[0], scores[1])
    assert not torch.allclose(scores, function(None, pair, None, seed=1))
    nearly = pair.clone()
    nearly[0, 0, 0, 0] += 1 / 255
    assert not torch.allclose(scores[0], function(None, nearly, None)[0])
    assert torch.equal(scores[1], function(None, nearly, None)[1])


def test_blur_ties_neighbours_and_favours_no_place():
    scores = blurred_random(None, images(600, 1, 16, 16), None, sigma=2.0).numpy()[:, 0]
    neighbours = np.corrcoef(scores[:, :, :-1].ravel(), scores[:, :, 1:].ravel())[0, 1]
    assert neighbours == pytest.approx(np.exp(-1 / 16), abs=0.02)  # the autocorrelation exp(-d^2 / 4 sigma^2)
    spread = scores.std(axis=0)
    assert spread.max() / spread.min() < 1.35  # 256 estimates, each within some 9 % at three standard errors
    border = np.concatenate([spread[0], spread[-1], spread[:, 0], spread[:, -1]])
    assert border.mean() == pytest.approx(spread.mean(), rel=0.03)


def test_every_channel_is_blurred_on_its_own():
    sample = images(2, 3, 12, 9)
    noise = random(None, sample, None).numpy()
    expected = np.empty_like(noise)
    for place, channel in np.ndindex(2, 3):
        expected[place, channel] = gaussian_filter(noise[place, channel], 1.5, mode="wrap")
    np.testing.assert_allclose(blurred_random(None, sample, None, sigma=1.5).numpy(), expected, atol=1e-5)


def test_no_blur_is_random():
    sample = images(2, 1, 8, 8)
    torch.testing.assert_close(blurred_random(None, sample, None, sigma=0), random(None, sample, None))


def test_edges_are_sobels():
    sample = images(2, 3, 6, 5)
    padded = np.pad(sample.numpy().astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    expected = np.zeros(sample.shape)
    for row in range(6):
        for column in range(5):
            patch = padded[:, :, row : row + 3, column : column + 3]
            across, down = (patch * kernel).sum((2, 3)), (patch * kernel.T).sum((2, 3))
            expected[:, :, row, column] = np.sqrt(across**2 + down**2)
    np.testing.assert_allclose(edges(None, sample, None).numpy(), expected, atol=1e-5)


def test_a_flat_image_has_no_edges():
    assert edges(None, torch.full((1, 1, 4, 4), 0.7), None).abs().max() == 0


@pytest.mark.parametrize("sigma", [-1.0, float("inf"), float("nan")])
def test_a_bad_blur_is_named(sigma):
    with pytest.raises(InputError, match="`sigma`"):
        blurred_random(None, images(1, 1, 4, 4), None, sigma=sigma)


def test_a_bad_seed_is_named():
    with pytest.raises(InputError, match="`seed`"):
        random(None, images(1, 1, 4, 4), None, seed="a")
