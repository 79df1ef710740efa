"""Regimes, peaks, correlation and verdict of classifiers made by hand."""

from inspect import signature

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gradaudit.instruments.sweep.regimes import find_regimes
from gradaudit.instruments.sweep.statistics import resampled_means, spearman
from gradaudit.instruments.sweep.trends import correlate, find_peaks
from gradaudit.instruments.sweep.verdict import judge

COUNT = 400
RNG = np.random.default_rng(0)
SETTINGS = {
    "families": {"a": [1.0, 2.0, 3.0]},
    "seed": 0,
    "radius": [0.5],
    "reference_radius": 0.5,
    "images": COUNT,
    "classes": "abcd",
}


def around(mean, spread=0.1):
    return np.abs(mean * (1 + spread * RNG.standard_normal(COUNT)))


@pytest.fixture(name="make")
def make_fixture(small):
    def make(levels, family="a"):
        """From (on, off, alignment) of the unregularised classifier and of those of strengths 1, 2, ... to classifiers."""
        return [
            small.by_hand(family if strength else "none", float(strength), around(on), around(off), around(alignment))
            for strength, (on, off, alignment) in enumerate(levels)
        ]

    return make


def test_each_regime_is_called_where_it_is_plain(make):
    levels = [(0.4, 0.2, 0.1), (0.39, 0.19, 0.1), (0.35, 0.05, 0.5), (0.02, 0.01, 0.2), (0.1, 0.18, 0.1), (0.2, 0.05, 0.3)]
    found = find_regimes(make(levels), 0, 0.5, 0)
    assert found["regime"].tolist() == ["weak", "weak", "bayes-aligned", "excessive", "inverted", "uncertain"]
    assert found[["weak", "bayes-aligned", "excessive", "inverted"]].sum(axis=1).to_numpy() == pytest.approx(1.0)
    assert found["on"].tolist() == pytest.approx([1, 0.975, 0.875, 0.05, 0.25, 0.5], abs=0.03)
    assert 0.05 < found["bayes-aligned"].iloc[5] < 0.95


def test_the_probability_is_that_of_a_plain_bootstrap(make):
    base, other = make([(0.4, 0.2, 0.1), (0.2, 0.05, 0.3)])
    found = find_regimes([base, other], 0, 0.5, 0).iloc[1]
    rng = np.random.default_rng(1)
    drawn = rng.integers(COUNT, size=(4000, COUNT))
    share = np.mean([other.changes[0, 0][rows].mean() < 0.5 * base.changes[0, 0][rows].mean() for rows in drawn])
    assert found["excessive"] == pytest.approx(share, abs=0.04)


def test_pairing_makes_a_proportional_change_certain(small):
    base = RNG.exponential(size=COUNT)
    measured = [small.by_hand("none", 0.0, base, base, base), small.by_hand("a", 1.0, 0.49 * base, 0.51 * base, base)]
    assert find_regimes(measured, 0, 0.5, 0)["inverted"].iloc[1] == 1.0


def test_a_classifier_that_never_changes_beside_one_that_never_does(small):
    still = np.zeros(COUNT)
    measured = [small.by_hand("none", 0.0, still, still, still), small.by_hand("a", 1.0, still, still, still)]
    found = find_regimes(measured, 0, 0.5, 0)
    assert found["regime"].tolist() == ["weak", "weak"]
    assert found[["on", "off"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("alignments", "peak", "strength"),
    [
        ((0.1, 0.2, 0.5, 0.3), "intermediate", 2.0),
        ((0.1, 0.2, 0.3, 0.5), "end", 3.0),
        ((0.1, 0.5, 0.3, 0.2), "end", 1.0),
        ((0.5, 0.1, 0.2, 0.3), "end", 0.0),
        ((0.1, 0.5, 0.3), "too few strengths", 1.0),
    ],
)
def test_where_alignment_peaks(make, alignments, peak, strength):
    found = find_peaks(make([(0.4, 0.2, value) for value in alignments]), ["a"], 0, 0).iloc[0]
    assert (found["peak"], found["strength"]) == (peak, strength)
    assert found["alignment"] == pytest.approx(max(alignments), abs=0.01)
    assert found["low"] < found["alignment"] < found["high"]


def test_two_that_are_level_are_uncertain(make):
    measured = make([(0.4, 0.2, value) for value in (0.1, 0.2, 0.5, 0.3)])
    measured[3] = measured[3]._replace(alignment=measured[2].alignment[:, ::-1])
    found = find_peaks(measured, ["a"], 0, 0).iloc[0]
    assert found["peak"] == "uncertain"
    assert found["probability"] == pytest.approx(0.5, abs=0.1)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=12))
def test_spearman_is_scipys(pairs):
    x, y = np.array(pairs, dtype=float).T
    value, low, high = spearman(x, y, 0)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert np.isnan(value)
        return
    assert value == pytest.approx(stats.spearmanr(x, y).statistic)
    assert -1 - 1e-9 <= low <= high <= 1 + 1e-9


def test_spearmans_interval_is_scipys_bootstrap():
    x = np.arange(20.0)
    y = x + 6 * np.random.default_rng(0).standard_normal(20)
    statistic = lambda a, b: stats.spearmanr(a, b).statistic  # noqa: E731
    drawn = {"rng" if "rng" in signature(stats.bootstrap).parameters else "random_state": np.random.default_rng(1)}  # before 1.15
    expected = stats.bootstrap(
        (x, y), statistic, paired=True, vectorized=False, n_resamples=800, method="percentile", **drawn
    ).confidence_interval
    assert spearman(x, y, 0)[1:] == pytest.approx(tuple(expected), abs=0.06)


def test_correlations_count_the_unregularised_classifier_everywhere_and_leave_out_what_is_not_defined(make):
    measured = make([(0.4, 0.2, value) for value in (0.1, 0.2, 0.3, 0.4)])
    measured += [one._replace(family="b") for one in make([(0.4, 0.2, value) for value in (0.1, 0.5, 0.4)])[1:]]
    found = correlate(measured, ["a", "b"], [1.0, 2.0, float("nan"), float("inf"), 4.0, 3.0], 0, 0)
    assert found["classifiers"].tolist() == [5, 3, 3]
    assert found["correlation"].iloc[1:].tolist() == pytest.approx([1.0, 1.0])


def test_resampled_means_have_the_right_spread():
    values = RNG.standard_normal((2, COUNT))
    found = resampled_means(np.vstack([values, values[:1]]), 0)
    assert found.std(axis=1)[:2] == pytest.approx(values.std(axis=1) / np.sqrt(COUNT), rel=0.1)
    assert np.allclose(found[0], found[2], rtol=1e-12)  # the same images for all rows


@pytest.mark.parametrize(
    ("alignments", "ratios", "label"),
    [
        ((0.1, 0.3, 0.5, 0.2), range(4), "mixed"),  # a peak; four points never give a sure correlation with it
        ((0.1, 0.2, 0.3, 0.5), (4, 3, 2, 1), "not confirmed"),
        ((0.1, 0.2, 0.3, 0.5), (4.0, 3.5, 2.0, 1.0), "not confirmed"),
    ],
)
def test_the_label(make, alignments, ratios, label):
    measured = make([(0.4, 0.2, value) for value in alignments])
    assert judge(measured, [float(one) for one in ratios], SETTINGS).label == label


def test_confirmed_where_all_peaks_are_inside_and_robustness_goes_with_alignment(make):
    levels = [0.1, 0.2, 0.3, 0.5, 0.7, 0.6, 0.4, 0.25, 0.15]
    measured = make([(0.4, 0.2, value) for value in levels])
    known = SETTINGS | {"families": {"a": [float(place) for place in range(1, 9)]}}
    found = judge(measured, levels, known)
    assert found.label == "confirmed"
    assert "1 of 1 families" in found.sentence
    worse = judge(measured, levels[::-1][:4] + [0.0] * 5, known)
    assert worse.label == "mixed"


def test_caveats_say_what_makes_the_numbers_doubtful(make):
    measured = make([(0.4, 0.01, 0.1), (0.4, 0.01, 0.2), (0.4, 0.01, 0.3), (0.4, 0.01, 0.2)])
    common = {"label": "-", "caveats": ["the denoiser is poor"]}
    measured = [one._replace(said=one.said | {"alignment": common}) for one in measured]
    failed = {
        "label": "unreliable",
        "caveats": ["the classifier is randomised: it gives other outputs for the same images from call to call"],
    }
    measured[1] = measured[1]._replace(said=measured[1].said | {"robustness": failed})
    measured[2] = measured[2]._replace(correct=np.zeros((2, COUNT), bool))
    opposite = -measured[3].alignment
    measured[3] = measured[3]._replace(confidence=np.full(COUNT, 0.26), alignment=opposite)
    found = judge(measured, [1.0, 2.0, 3.0, 4.0], SETTINGS | {"images": 50, "shared_images": 5}).caveats
    for words in (
        "alignment: the denoiser is poor",
        "under PGD is not to be trusted for a 1",
        "randomised: it gives other outputs for the same images from call to call: a 1",
        "near chance, where gradients and changes mean little: a 2",
        "for every class, so that changes are small for a trivial reason: a 3",
        "point opposite ways, so that a larger value means less of that, for a 3",
        "hardly changes even the unregularised classifier off the manifold",
        "a correlation over 4 classifiers",
        "5 of the 50 test images (10.0%) stand in the training set too",
        "50 test images are few",
        "another training seed",
    ):
        assert any(words in text for text in found), words


def test_no_caveat_about_what_is_fine(make):
    measured = make([(0.4, 0.2, 0.1), (0.4, 0.2, 0.3), (0.4, 0.2, 0.5), (0.4, 0.2, 0.2)])
    found = judge(measured, [1.0, 2.0, 3.0, 4.0], SETTINGS).caveats
    assert [text for text in found if "chance" in text or "trivial" in text or "PGD" in text or "few" in text] == []
