"""The degradation ladder's rungs and orders, the formula of the soft gate, and parts that are kept."""

import numpy as np
import pandas as pd
import pytest
import torch


@pytest.fixture
def scores():
    return torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_without_chance_the_ranking_is_the_scores_own(script, scores):
    found = script("degraded").degraded(scores, 0.0, seed=0).flatten(1)
    assert torch.equal(found.argsort(1), scores.abs().sum(1).flatten(1).argsort(1))


def test_with_nothing_but_chance_the_scores_are_forgotten(script, scores):
    degraded = script("degraded").degraded
    assert torch.equal(degraded(scores, 1.0, seed=3), degraded(scores.flip(0), 1.0, seed=3))
    assert not torch.equal(degraded(scores, 1.0, seed=3), degraded(scores, 1.0, seed=4))


def test_a_rung_moves_its_share_of_pixels_and_keeps_all_heights(script, scores):
    degraded = script("degraded").degraded
    whole, moved = degraded(scores, 0.0, seed=0), []
    for share in (0.25, 0.5, 0.75):
        found = degraded(scores, share, seed=0)
        assert torch.equal(found.flatten(1).sort(1).values, whole.flatten(1).sort(1).values)
        moved.append((found != whole).flatten(1))
        counts = moved[-1].sum(1)
        assert (counts <= round(share * 64)).all()
        assert (counts > 0.7 * share * 64).all()
    # What swaps with a smaller share swaps with a larger one, though now and then a pixel gets its own rank back.
    assert float((moved[0] & ~moved[2]).float().mean()) < 0.02


@pytest.mark.parametrize(("values", "expected"), [((5, 4, 3), 1.0), ((3, 4, 5), -1.0), ((1, 1, 1), 0.0)])
def test_falling(script, values, expected):
    assert script("degraded").falling(np.array(values, float)) == pytest.approx(expected)


def test_a_ranking_that_is_upside_down_is_recovered_towards_0(script):
    head = {"data": "mnist", "classifier": "standard", "attribution": "gradient", "measure": "raw", "level": 0.1}
    rows = [{**head, "seed": seed, "share": share, "value": share - 1.0} for seed in (0, 1) for share in (0.0, 0.5, 1.0)]
    found = script("degraded").recovered(pd.DataFrame(rows))
    assert found["rho"].tolist() == pytest.approx([-1, -1])
    assert found["toward"].tolist() == pytest.approx([1, 1])


def test_the_wide_ratio_is_that_of_the_step_and_stays_below_1(script):
    theory = script("pullbacks_theory")
    assert theory.wide_ratio("gradient", 0.0) == pytest.approx(25 / 28, abs=1e-4)
    for gate in ("sigmoid", "normal"):
        ratios = [theory.wide_ratio(gate, heat, cells=300) for heat in (0.05, 0.2, 0.5, 1.0)]
        assert ratios == sorted(ratios)
        assert ratios[0] > 25 / 28
        assert ratios[-1] < 1
    small = (theory.SCALE / 2.0) ** 3 / 84
    assert 1 - theory.wide_ratio("sigmoid", 2.0) == pytest.approx(small, rel=0.05)


def test_a_part_is_made_once(script, tmp_path):
    calls = []

    def rows():
        calls.append(1)
        return [{"value": 2.0}]

    parts = script("_parts")
    for _ in range(2):
        assert parts.part(tmp_path, "one", rows)["value"].tolist() == [2.0]
    assert len(calls) == 1
    assert parts.seconds(tmp_path) > 0
