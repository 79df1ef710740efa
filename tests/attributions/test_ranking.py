"""Rankings against a naive sort; ties are uniform, and belong to the seed and the image's place alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gradaudit.attributions._ranking import AT_ONCE, kept, kept_count, rank, rank_dtype


def scores_of(count=6, shape=(3, 4, 5), seed=0, ties=False):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(count, *shape, generator=generator)
    return scores.mul(2).round() if ties else scores


def naive(scores, first, seed, features):
    """An argsort of one image at a time by (-magnitude, tie), where a tie is an image's order when all scores are equal."""
    found = []
    for place, image in enumerate(scores.numpy().astype(np.float64)):
        magnitude = np.abs(image).sum(axis=0).ravel() if features == "pixels" else np.abs(image).ravel()
        blank = torch.zeros(1, 1, 1, magnitude.size)
        tie = rank(blank, first + place, seed)[0].astype(int) + magnitude.size // 2
        ranks = np.empty(magnitude.size, int)
        ranks[np.lexsort((tie, -magnitude))] = np.arange(magnitude.size)
        found.append(ranks)
    return np.stack(found)


@pytest.mark.parametrize("features", ["coordinates", "pixels"])
@pytest.mark.parametrize("ties", [False, True])
def test_ranks_are_those_of_a_naive_sort(features, ties):
    scores = scores_of(ties=ties)
    found = rank(scores, 7, 3, features)
    np.testing.assert_array_equal(found.astype(int) + found.shape[1] // 2, naive(scores, 7, 3, features))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 5), st.integers(1, 3), st.integers(1, 9), st.integers(0, 2**31 - 1))
def test_every_image_has_every_rank_once(count, channels, side, seed):
    ranks = rank(scores_of(count, (channels, side, 3), ties=True), 0, seed).astype(int)
    features = ranks.shape[1]
    np.testing.assert_array_equal(np.sort(ranks, axis=1) + features // 2, np.tile(np.arange(features), (count, 1)))


def test_the_sign_of_a_score_does_not_count():
    scores = scores_of(ties=True)
    np.testing.assert_array_equal(rank(scores, 0, 0), rank(-scores, 0, 0))
    np.testing.assert_array_equal(rank(torch.zeros(2, 1, 3, 3), 0, 0), rank(-torch.zeros(2, 1, 3, 3), 0, 0))


def test_the_smallest_and_largest_floats_are_told_apart():
    tiny, huge = np.finfo(np.float32).smallest_subnormal, np.finfo(np.float32).max
    scores = torch.tensor([0.0, tiny, 1.0, -huge, np.nextafter(np.float32(1), np.float32(2))]).view(1, 1, 1, 5)
    np.testing.assert_array_equal(rank(scores, 0, 0)[0] + 2, [4, 3, 2, 0, 1])


def test_ties_are_uniform_over_positions():
    count, features = 3000, 20
    ranks = rank(torch.zeros(count, 1, 4, 5), 0, seed=1).astype(int) + features // 2
    table = np.zeros((features, features))
    np.add.at(table, (np.tile(np.arange(features), count), ranks.ravel()), 1)
    statistic = ((table - count / features) ** 2 / (count / features)).sum()
    # Both margins are fixed, as in a contingency table.
    assert 1e-3 < stats.chi2.sf(statistic, (features - 1) ** 2) < 1 - 1e-3


def test_ties_of_many_features_favour_no_half_of_the_image():
    """With 150,528 features a tie has 14 random bits only; what they leave undecided must stay far below what a learner sees."""
    ranks = rank(torch.zeros(12, 3, 224, 224), 0, seed=0).astype(int)
    early = (ranks[:, : ranks.shape[1] // 2] < 0).mean()
    assert abs(early - 0.5) < 4 * 0.5 / np.sqrt(ranks.size / 2)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.integers(0, 2**31 - 1), st.integers(0, 1000))
def test_ranks_depend_on_seed_and_place_and_not_on_the_batch(sizes, seed, first):
    scores = scores_of(sum(sizes), ties=True)
    parts, start = [], 0
    for size in sizes:
        parts.append(rank(scores[start : start + size], first + start, seed))
        start += size
    np.testing.assert_array_equal(np.concatenate(parts), rank(scores, first, seed))


def test_more_features_than_are_sorted_at_once():
    side = int(np.sqrt(AT_ONCE)) + 10
    scores = torch.zeros(2, 1, side, side)
    both = rank(scores, 5, 0)
    np.testing.assert_array_equal(both[1], rank(scores[1:], 6, 0)[0])
    np.testing.assert_array_equal(np.sort(both[0]), np.arange(side * side) - side * side // 2)


def test_other_seeds_and_places_break_ties_differently():
    blank = torch.zeros(3, 1, 6, 6)
    one, other = rank(blank, 0, 0), rank(blank, 0, 1)
    assert not np.array_equal(one, other)
    assert len({row.tobytes() for row in one}) == 3


@pytest.mark.parametrize(("count", "name"), [(2, "int8"), (256, "int8"), (257, "int16"), (65536, "int16"), (65537, "int32")])
def test_ranks_take_the_smallest_type_that_holds_them(count, name):
    ranks = rank(torch.arange(count, dtype=torch.float32).view(1, 1, 1, count), 0, 0)
    assert ranks.dtype == rank_dtype(count) == np.dtype(name)
    np.testing.assert_array_equal(ranks[0].astype(int), (count - 1 - np.arange(count)) - count // 2)
    for keep in (1, count // 2, count - 1):
        for side, expected in (("top", np.arange(count) >= count - keep), ("bottom", np.arange(count) < keep)):
            np.testing.assert_array_equal(kept(torch.from_numpy(ranks), keep, side)[0], expected)


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 400), st.data())
def test_top_and_bottom_partition_the_features(count, data):
    keep = data.draw(st.integers(1, count - 1))
    ranks = torch.from_numpy(rank(scores_of(3, (1, 1, count), ties=True), 0, 0))
    top, rest = kept(ranks, keep, "top"), kept(ranks, count - keep, "bottom")
    assert (top.sum(1) == keep).all()
    assert (top ^ rest).all()


@pytest.mark.parametrize(
    ("level", "count", "keep"),
    [(0.1, 784, 78), (0.001, 784, 1), (1e-9, 2, 1), (0.9999, 784, 783), (0.5, 2, 1), (0.5, 3, 2), (0.999, 3, 2), (0.3, 10, 3)],
)
def test_a_level_keeps_the_nearest_number_of_features_and_never_all_or_none(level, count, keep):
    assert kept_count(level, count) == keep
