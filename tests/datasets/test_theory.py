"""The two distributions of the theory: closed forms, moments, exact normalisation, bad input."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gradaudit.classifiers import normalised
from gradaudit.datasets import load_images
from gradaudit.datasets.theory import COORDINATE_NORMALISATION, block_vectors, block_vectors_normalisation, coordinate_images
from gradaudit.errors import InputError


def numbers(images, normalisation):
    """x as a classifier sees it behind its normalisation."""
    return normalised(torch.nn.Identity(), normalisation)(images.floats())


@given(count=st.integers(1, 50), dimensions=st.integers(1, 20), seed=st.integers(0, 99))
def test_a_coordinate_image_is_exactly_y_e_j(count, dimensions, seed):
    images = coordinate_images(count, dimensions=dimensions, seed=seed)
    assert images.shape == (1, 1, dimensions)
    assert images.classes == ("-1", "+1")
    assert (images.signal_mask.sum(dim=(1, 2)) == 1).all()
    expected = images.signal_mask[:, None] * (2.0 * images.labels - 1)[:, None, None, None]
    torch.testing.assert_close(numbers(images, COORDINATE_NORMALISATION), expected, rtol=0, atol=1e-6)


def test_sign_and_coordinate_are_uniform_and_independent():
    images = coordinate_images(20_000)
    places = images.signal_mask.flatten(1).double().argmax(dim=1)
    counts = torch.bincount(2 * places + images.labels, minlength=20)
    assert float(((counts - 1000.0) ** 2 / 1000).sum()) < 55.8  # chi-squared, 19 degrees of freedom: 2 in 100,000


@pytest.mark.parametrize("make", [coordinate_images, block_vectors])
def test_the_seed_decides_and_the_first_stay_the_same(make):
    first, again, fewer, other = make(50, seed=1), make(50, seed=1), make(20, seed=1), make(50, seed=2)
    assert first.fingerprint == again.fingerprint
    assert first[:20].fingerprint == fewer.fingerprint
    assert first.fingerprint != other.fingerprint


def test_blocks_of_one_coordinate_without_noise_are_coordinate_images():
    vectors, coordinates = block_vectors(30, blocks=7, width=1, noise=0, seed=3), coordinate_images(30, dimensions=7, seed=3)
    assert torch.equal(vectors.images.flatten(1), coordinates.images.flatten(1))
    assert torch.equal(vectors.signal_mask.flatten(1), coordinates.signal_mask.flatten(1))
    assert torch.equal(vectors.labels, coordinates.labels)
    assert block_vectors_normalisation(width=1, noise=0) == COORDINATE_NORMALISATION


@pytest.mark.parametrize(("width", "noise"), [(10, 0.05), (4, 0.3), (25, 1.0)])
def test_block_vectors_are_y_u_and_noise(width, noise):
    count, blocks = 4000, 5
    images = block_vectors(count, blocks=blocks, width=width, noise=noise)
    assert images.shape == (1, blocks, width)
    values = numbers(images, block_vectors_normalisation(width=width, noise=noise))[:, 0].double()
    signal = images.signal_mask.all(dim=2)
    assert (images.signal_mask.any(dim=2) == signal).all()
    assert (signal.sum(dim=1) == 1).all()
    centre = values[signal] * (2 * images.labels[:, None] - 1) - 1 / math.sqrt(width)
    step = (1 / math.sqrt(width) + 4 * noise) / 60
    spread = math.sqrt(noise**2 + step**2 / 12)
    for sample in (centre, values[~signal]):
        error = 5 * spread / math.sqrt(sample.numel())
        assert float(sample.mean()) == pytest.approx(0, abs=error)
        assert float(sample.std()) == pytest.approx(spread, abs=error)


def test_block_vectors_are_the_unquantised_ones_to_half_a_level():
    count, blocks, width, noise = 200, 4, 9, 0.1
    images = block_vectors(count, blocks=blocks, width=width, noise=noise, seed=5)
    values = numbers(images, block_vectors_normalisation(width=width, noise=noise))[:, 0].double().numpy()
    exact = noise * np.random.default_rng([5, 1]).standard_normal((count, blocks, width), dtype=np.float32).astype(np.float64)
    exact += images.signal_mask.numpy() * (2 * images.labels.numpy()[:, None, None] - 1) / 3
    limit = 1 / 3 + 4 * noise
    assert np.abs(values - exact.clip(-limit, limit)).max() <= limit / 60 / 2 + 1e-6


def test_they_load_by_name_with_different_halves():
    train, test = load_images("coordinate(dimensions=4, train_images=300, test_images=200)", seed=2)
    assert train.fingerprint == coordinate_images(300, dimensions=4, seed=2).fingerprint
    assert not torch.equal(train.images[:200], test.images)
    train, test = load_images("block-vectors(blocks=3, width=2, noise=0.2, train_images=300, test_images=200)", seed=2)
    assert train.fingerprint == block_vectors(300, blocks=3, width=2, noise=0.2, seed=2).fingerprint
    assert len(test) == 200
    assert not torch.equal(train.images[:200], test.images)


@pytest.mark.parametrize(
    ("make", "argument", "value"),
    [
        (coordinate_images, "count", 0),
        (coordinate_images, "count", 2.0),
        (coordinate_images, "dimensions", 0),
        (coordinate_images, "seed", -1),
        (block_vectors, "count", True),
        (block_vectors, "blocks", 0),
        (block_vectors, "width", 0),
        (block_vectors, "noise", -0.1),
        (block_vectors, "noise", math.inf),
        (block_vectors, "noise", "small"),
        (block_vectors, "seed", 0.5),
        (block_vectors_normalisation, "width", 0),
        (block_vectors_normalisation, "noise", math.nan),
    ],
)
def test_bad_input_names_the_option(make, argument, value):
    options = ({} if make is block_vectors_normalisation else {"count": 3}) | {argument: value}
    with pytest.raises(InputError, match=rf"`{argument}` \(={value!r}\) must be"):
        make(**options)
