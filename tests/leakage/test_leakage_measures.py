"""Each measure against a naive loop over images, and where it has a closed form."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from gradaudit.attributions import kept_count
from gradaudit.instruments.leakage.measures import auroc, measure, null_mass
from gradaudit.instruments.leakage.statistics import ratio_interval
from gradaudit.packing import pack, unpack

LEVELS = (0.05, 0.1, 0.3)


def drawn(count=12, channels=1, seed=0, *, ties=False, shape=(6, 5)):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(count, channels, *shape, generator=generator)
    mask = torch.rand(count, *shape, generator=generator) < 0.4
    mask[:, 0, 0], mask[:, -1, -1] = True, False
    return (scores.mul(1.5).round() if ties else scores), mask


def naive(scores, mask, features):
    """One image and one feature at a time; scores without ties."""
    magnitude = [abs(float(score)) for score in scores.flatten()]
    inside = [bool(one) for one in mask.flatten()] * len(scores)
    if features == "pixels":
        pixels = mask.numel()
        magnitude = [sum(magnitude[place::pixels]) for place in range(pixels)]
        inside = inside[:pixels]
    order = sorted(range(len(magnitude)), key=lambda place: -magnitude[place])
    found = {"null_mass": sum(m for m, one in zip(magnitude, inside, strict=True) if not one) / sum(magnitude)}
    for level in LEVELS:
        top = order[: kept_count(level, len(order))]
        found[f"null_top_{level:g}"] = sum(not inside[place] for place in top) / len(top)
    found |= {"top_hit": float(inside[order[0]]), "bottom_hit": float(inside[order[-1]]), "nonzero": len(magnitude)}
    found["signal_rank"] = 1 + next(rank for rank, place in enumerate(order) if inside[place])
    signal, null = ([m for m, one in zip(magnitude, inside, strict=True) if one is side] for side in (True, False))
    pairs = [(m, n) for m in signal for n in null]
    found["auroc"] = sum((m > n) + 0.5 * (m == n) for m, n in pairs) / len(pairs)
    return found


@pytest.mark.parametrize("features", ["coordinates", "pixels"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_measure_is_that_of_a_naive_loop(features, channels):
    scores, mask = drawn(channels=channels)
    found = measure(scores, mask, 5, levels=LEVELS, features=features, seed=0)
    for place in range(len(scores)):
        expected = naive(scores[place], mask[place], features)
        assert found.keys() == expected.keys()
        assert {name: float(values[place]) for name, values in found.items()} == pytest.approx(expected, abs=1e-6)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 6), st.integers(1, 3), st.integers(0, 2**16), st.booleans())
def test_auroc_is_that_of_scikit_learn(count, channels, seed, ties):
    scores, mask = drawn(count, channels, seed, ties=ties)
    magnitude, inside = scores.abs().flatten(1), mask[:, None].expand(-1, channels, -1, -1).flatten(1)
    expected = [roc_auc_score(y, m) for y, m in zip(inside.numpy(), magnitude.numpy(), strict=True)]
    np.testing.assert_allclose(auroc(magnitude, inside).numpy(), expected, atol=1e-12)


def test_a_map_of_zeros_is_worth_what_a_uniform_map_is():
    _, mask = drawn(4000, seed=3)
    mask[:] = mask[0]
    found = measure(torch.zeros(4000, 1, 6, 5), mask, 0, levels=LEVELS, features="coordinates", seed=1)
    outside = float((~mask[0]).double().mean())
    assert found["null_mass"] == pytest.approx(outside)
    assert (found["auroc"] == 0.5).all()
    assert (found["nonzero"] == 0).all()
    for name in ("null_top_0.05", "null_top_0.1", "null_top_0.3"):
        assert abs(found[name].mean() - outside) < 4 * found[name].std() / np.sqrt(4000)
    for name in ("top_hit", "bottom_hit"):
        assert abs(found[name].mean() - (1 - outside)) < 4 * np.sqrt(outside * (1 - outside) / 4000)


@pytest.mark.parametrize("scale", [1e-44, 1e-38, 1.0, 3e38])
def test_the_share_of_magnitude_does_not_overflow_or_vanish(scale):
    magnitude = torch.tensor([[1.0, 0.0, 1.0, 1.0]]) * scale
    inside = torch.tensor([[True, True, False, False]])
    assert float(null_mass(magnitude, inside)) == pytest.approx(2 / 3)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.integers(0, 2**16), st.sampled_from(["coordinates", "pixels"]))
def test_batches_do_not_matter_with_ties_either(sizes, seed, features):
    scores, mask = drawn(sum(sizes), 2, seed, ties=True)
    options = {"levels": LEVELS, "features": features, "seed": 7}
    whole, parts, start = measure(scores, mask, 0, **options), [], 0
    for size in sizes:
        part = slice(start, start + size)
        parts.append(measure(scores[part], mask[part], start, **options))
        start += size
    for name, values in whole.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), values)


def test_the_negative_of_the_mask_gives_the_complement():
    scores, mask = drawn(20, 3)
    options = {"levels": LEVELS, "features": "coordinates", "seed": 0}
    one, other = measure(scores, mask, 0, **options), measure(scores, ~mask, 0, **options)
    for name in ("null_mass", "auroc", *(f"null_top_{level:g}" for level in LEVELS)):
        np.testing.assert_allclose(one[name] + other[name], 1, atol=1e-9)
    assert (one["top_hit"] ^ other["top_hit"]).all()


@pytest.mark.parametrize("array", [np.arange(6).reshape(2, 3), np.linspace(0, 1, 7) ** 3, np.array([True, False]), np.empty(0)])
def test_packed_arrays_come_back_exactly(array):
    found = unpack(pack(array))
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype


def test_the_interval_of_a_ratio_is_near_that_of_a_bootstrap():
    rng = np.random.default_rng(1)
    shared = rng.gamma(4, size=400)
    over, under = shared * rng.gamma(9, size=400), shared * rng.gamma(3, size=400)
    draws = rng.integers(0, 400, (4000, 400))
    resampled = over[draws].mean(1) / under[draws].mean(1)
    ratio, low, high = ratio_interval(over, under)
    assert ratio == pytest.approx(over.mean() / under.mean())
    assert (low, high) == pytest.approx(tuple(np.quantile(resampled, [0.025, 0.975])), rel=0.02)
    assert np.isinf(ratio_interval(over, np.zeros(400))[0])
    assert np.isnan(ratio_interval(over, np.zeros(400))[1:]).all()
