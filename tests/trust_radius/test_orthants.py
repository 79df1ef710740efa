"""The multivariate normal's probabilities against closed forms and against SciPy."""

import numpy as np
import pytest
from scipy import integrate, stats

from gradaudit.instruments.trust_radius.orthants import orthant_probabilities


def random_correlations(rng, rows, dimensions):
    roots = rng.standard_normal((rows, dimensions, dimensions + 2)) + rng.standard_normal((rows, 1, dimensions + 2))
    found = roots @ roots.transpose(0, 2, 1)
    scale = np.sqrt(np.einsum("rii->ri", found))
    return found / scale[:, :, None] / scale[:, None, :]


def equicorrelated(dimensions, correlation):
    return np.full((1, dimensions, dimensions), correlation) + (1 - correlation) * np.eye(dimensions)


def test_one_coordinate_is_exact():
    bounds = np.linspace(-5, 5, 21)[:, None]
    found = orthant_probabilities(bounds, np.ones((21, 1, 1)), 0)
    np.testing.assert_allclose(found, stats.norm.cdf(bounds[:, 0]), rtol=1e-12)


@pytest.mark.parametrize("correlation", [-0.9, -0.3, 0.0, 0.5, 0.99])
def test_a_quadrant_has_a_closed_form(correlation):
    found = orthant_probabilities(np.zeros((1, 2)), equicorrelated(2, correlation), 0)[0]
    assert found == pytest.approx(0.25 + np.arcsin(correlation) / (2 * np.pi), abs=3e-4)


def test_independent_coordinates_multiply():
    bounds = np.random.default_rng(0).normal(0.7, 1, (50, 6))
    found = orthant_probabilities(bounds, np.broadcast_to(np.eye(6), (50, 6, 6)), 0)
    np.testing.assert_allclose(found, stats.norm.cdf(bounds).prod(axis=1), atol=1e-9)


@pytest.mark.parametrize("dimensions", [3, 9, 20])
def test_equal_correlations_leave_one_integral(dimensions):
    """Y_i = sqrt(c) W + sqrt(1 - c) V_i: given W they are independent."""
    correlation, bound = 0.4, 0.8

    def given(w):
        return stats.norm.cdf((bound - np.sqrt(correlation) * w) / np.sqrt(1 - correlation)) ** dimensions * stats.norm.pdf(w)

    expected = integrate.quad(given, -9, 9)[0]
    found = orthant_probabilities(np.full((1, dimensions), bound), equicorrelated(dimensions, correlation), 0)[0]
    assert found == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_scipy_says_the_same(dimensions):
    rng = np.random.default_rng(1)
    correlations, bounds = random_correlations(rng, 20, dimensions), rng.normal(0.5, 1.2, (20, dimensions))
    found = orthant_probabilities(bounds, correlations, 0)
    laws = [stats.multivariate_normal(np.zeros(dimensions), one) for one in correlations]
    expected = [law.cdf(bound) for law, bound in zip(laws, bounds, strict=True)]
    np.testing.assert_allclose(found, expected, atol=5e-4)


def test_coordinates_that_follow_from_others_need_no_jitter():
    bounds = np.array([[0.5, 1.0], [0.5, 1.0], [-1.0, 0.9]])
    correlations = np.stack([np.ones((2, 2)), np.array([[1.0, -1.0], [-1.0, 1.0]]), np.array([[1.0, -1.0], [-1.0, 1.0]])])
    cdf = stats.norm.cdf
    found = orthant_probabilities(bounds, correlations, 0)
    np.testing.assert_allclose(found, [cdf(0.5), cdf(0.5) - cdf(-1.0), 0.0], atol=2e-3)
    twice = random_correlations(np.random.default_rng(2), 1, 3)[:, [0, 1, 2, 0]][:, :, [0, 1, 2, 0]]
    once = orthant_probabilities(np.array([[0.2, 1.0, 0.4]]), twice[:, :3, :3], 0)
    np.testing.assert_allclose(orthant_probabilities(np.array([[0.2, 1.0, 0.4, 0.2]]), twice, 0), once, atol=2e-3)


def test_infinite_bounds_are_certain():
    inf = float("inf")
    bounds = np.array([[inf, inf], [inf, -inf], [0.3, inf], [-inf, 0.3]])
    found = orthant_probabilities(bounds, np.broadcast_to(np.eye(2), (4, 2, 2)), 0)
    np.testing.assert_allclose(found, [1.0, 0.0, stats.norm.cdf(0.3), 0.0], atol=1e-12)


def test_the_same_seed_gives_the_same_and_neighbours_change_nothing():
    rng = np.random.default_rng(3)
    correlations, bounds = random_correlations(rng, 30, 4), rng.normal(0.5, 2, (30, 4))
    found = orthant_probabilities(bounds, correlations, 5)
    np.testing.assert_array_equal(found, orthant_probabilities(bounds, correlations, 5))
    alone = [orthant_probabilities(bounds[[row]], correlations[[row]], 5)[0] for row in range(30)]
    np.testing.assert_allclose(found, alone, rtol=0, atol=1e-12)
    other = orthant_probabilities(bounds, correlations, 6)
    assert (found != other).any()
    np.testing.assert_allclose(found, other, atol=2e-3)
