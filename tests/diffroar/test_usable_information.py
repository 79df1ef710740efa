"""Bits of learners whose knowledge is known: nothing, everything, too sure of itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from gradaudit.usable_information import (
    bits_free_to_ignore,
    bits_of_nothing,
    calibrated_bits,
    label_prior,
    packed_bits,
    unpacked_bits,
)

UNIFORM = np.full(4, 0.25)


def drawn(probabilities, seed=0):
    """A label for each row of probabilities (N, K)."""
    thresholds = np.random.default_rng(seed).random((len(probabilities), 1))
    return (probabilities.cumsum(axis=1) < thresholds).sum(axis=1).clip(max=probabilities.shape[1] - 1)


def test_the_prior_is_the_share_of_each_class_and_never_0():
    np.testing.assert_allclose(label_prior(np.array([0, 0, 0, 1]), 2), [0.75, 0.25])
    np.testing.assert_allclose(label_prior(np.array([0, 0, 0, 1]), 3), [0.6, 0.2, 0.2])


def test_a_learner_that_sees_nothing_leaves_the_entropy_of_the_labels():
    labels = np.repeat(np.arange(3), [50, 25, 25])
    assert bits_of_nothing(label_prior(labels, 3), labels) == pytest.approx(1.5)
    assert bits_of_nothing(UNIFORM, np.zeros(7, int)) == 2.0


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 30), min_size=2, max_size=6), st.floats(-50, 50), st.integers(0, 100))
def test_a_learner_that_predicts_the_prior_is_one_that_sees_nothing(counts, shift, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    prior = label_prior(labels[::-1], len(counts))
    logits = np.tile(np.log(prior) + shift, (len(labels), 1))
    bits = calibrated_bits(logits, labels, prior, seed)
    np.testing.assert_allclose(bits, -np.log2(prior[labels]), atol=1e-9)


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_a_learner_that_knows_nothing_costs_no_more_than_the_calibrations_noise(scale):
    rng = np.random.default_rng(0)
    bits = [calibrated_bits(scale * rng.normal(size=(400, 4)), rng.integers(0, 4, 400), UNIFORM, seed).mean() for seed in range(40)]
    assert 2.0 - 0.002 < np.mean(bits) < 2.0 + 0.01
    assert max(bits) < 2.05


@pytest.mark.parametrize("sureness", [0.25, 1.0, 4.0, 9.0])
def test_however_sure_of_itself_a_learner_leaves_what_it_does_not_know(sureness):
    """Labels drawn from known posteriors with a uniform prior: the best a is the inverse of the sureness."""
    true = special.log_softmax(2 * np.random.default_rng(1).normal(size=(4000, 4)), axis=1)
    labels = drawn(np.exp(true))
    best = -true[np.arange(4000), labels] / np.log(2)
    bits = calibrated_bits(sureness * true, labels, UNIFORM, seed=3)
    assert bits.mean() == pytest.approx(best.mean(), abs=0.003)


def test_a_learner_without_an_error_leaves_what_one_strange_image_among_those_fitted_would():
    labels = np.arange(200) % 4
    bits = calibrated_bits(8.0 * np.eye(4)[labels], labels, UNIFORM, seed=0)
    np.testing.assert_allclose(bits, -np.log2(1 - 0.75 / 101), atol=1e-5)


def test_a_few_errors_among_many_hits_do_not_decide_the_bits():
    """A learner that is right in 99.7 % of 500 images and always equally sure: the best bits are known."""
    found, right = [], 0.997
    best = -right * np.log2(right) - (1 - right) * np.log2((1 - right) / 9)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 10, 500)
        told = np.where(rng.random(500) < right, labels, (labels + rng.integers(1, 10, 500)) % 10)
        found.append(calibrated_bits(12.0 * np.eye(10)[told], labels, np.full(10, 0.1), seed).mean())
    assert np.mean(found) < best + 0.05
    assert np.std(found) < 0.06


def test_the_exponent_of_each_half_is_the_best_of_the_other():
    """Against a search over a fine grid, with a prior that is not uniform."""
    rng = np.random.default_rng(5)
    prior = np.array([0.5, 0.3, 0.2])
    labels = drawn(np.tile(prior, (300, 1)), 2)
    logits = 3 * rng.normal(size=(300, 3)) + 2 * np.eye(3)[labels]
    order = np.random.default_rng(11).permutation(300)
    expected = np.empty(300)
    for fitted, judged in ((order[:150], order[150:]), (order[150:], order[:150])):
        costs = {a: with_a_stranger(logits[fitted], labels[fitted], prior, a) for a in np.linspace(0, 2, 4001)}
        expected[judged] = naive(logits, labels, prior, min(costs, key=costs.get))[judged]
    np.testing.assert_allclose(calibrated_bits(logits, labels, prior, 11), expected, atol=5e-3)


def with_a_stranger(logits, labels, prior, exponent):
    """Mean over the images and one more, which may be any of them and have any label, as often as the prior says."""
    of_any = sum(share * naive(logits, np.full(len(labels), label), prior, exponent) for label, share in enumerate(prior))
    return (naive(logits, labels, prior, exponent).sum() + of_any.mean()) / (len(labels) + 1)


def naive(logits, labels, prior, exponent):
    mixed = exponent * special.log_softmax(logits, axis=1) + (1 - exponent) * np.log(prior)
    return -special.log_softmax(mixed, axis=1)[np.arange(len(labels)), labels] / np.log(2)


def test_logits_beyond_the_classes_do_not_count():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(50, 6)), rng.integers(0, 4, 50)
    np.testing.assert_array_equal(calibrated_bits(logits, labels, UNIFORM, 0), calibrated_bits(logits[:, :4], labels, UNIFORM, 0))


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40))
def test_bits_come_back_in_half_precision(values):
    back = unpacked_bits(packed_bits(np.array(values)))
    np.testing.assert_allclose(back, np.minimum(values, 65504), rtol=5e-4, atol=1e-7)


def test_a_learner_of_more_that_failed_counts_as_one_that_ignores_it():
    rng = np.random.default_rng(0)
    without, failed = rng.uniform(0.4, 0.6, 200), rng.uniform(2.0, 4.0, 200)
    np.testing.assert_array_equal(bits_free_to_ignore(failed, without, 0), without)
    np.testing.assert_array_equal(bits_free_to_ignore(without, failed, 0), without)


def test_what_is_ignored_in_one_half_is_chosen_by_the_other():
    order = np.random.default_rng(7).permutation(100)
    one, other = order[:50], order[50:]
    bits, without = np.empty(100), np.ones(100)
    bits[one], bits[other] = 0.5, 2.0  # better where it is judged by the other half, in which it is worse
    chosen = bits_free_to_ignore(bits, without, 7)
    np.testing.assert_array_equal(chosen[one], 1.0)
    np.testing.assert_array_equal(chosen[other], 2.0)


def test_two_learners_that_know_the_same_are_not_better_for_being_two():
    """Both see the label through noise of their own; a mixture of them would know more than either."""
    gains = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        bits, without = rng.gamma(2.0, 0.5, (2, 400))
        gains.append((without - bits_free_to_ignore(bits, without, seed)).mean())
    assert abs(np.mean(gains)) < 3 * np.std(gains) / np.sqrt(40) + 1e-3
