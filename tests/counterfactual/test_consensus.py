"""Consensus by place: what is kept, and what becomes of the rest."""

import math

import pytest
import torch

from gradaudit.instruments.counterfactual.guidance.consensus import consensus


def drawn(channels=1, count=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, 20, 20, generator=generator)


@pytest.mark.parametrize("channels", [1, 3])
def test_parallel_gradients_keep_all_and_opposite_ones_nothing(channels):
    explained = drawn(channels)
    followed, kept = consensus(explained, 7 * explained, 0.0)
    assert torch.equal(kept, torch.ones(3, dtype=torch.float64))
    assert torch.allclose(followed.flatten(1).norm(dim=1), torch.ones(3))
    followed, kept = consensus(explained, -explained, 90.0)
    assert not kept.any()
    assert not followed.any()


def test_with_one_channel_signs_must_agree():
    explained, helper = drawn(), drawn(seed=1)
    for degrees in (0.0, 30.0, 89.0):
        followed, kept = consensus(explained, helper, degrees)
        agree = explained.sign() == helper.sign()
        assert torch.equal(followed != 0, agree)
        assert torch.allclose(kept, agree.flatten(1).double().mean(dim=1))


def test_with_three_the_angle_at_the_pixel_decides():
    explained, helper = drawn(3), drawn(3, seed=1)
    cosines = torch.cosine_similarity(explained.double(), helper.double(), dim=1)
    for degrees in (20.0, 45.0, 80.0):
        followed, kept = consensus(explained, helper, degrees)
        wanted = cosines >= math.cos(math.radians(degrees))
        assert torch.equal(followed.abs().sum(dim=1) > 0, wanted)
        assert torch.allclose(kept, wanted.flatten(1).double().mean(dim=1))


def test_what_is_left_does_not_get_the_whole_step():
    explained, helper = drawn(), drawn(seed=1)
    followed, _ = consensus(explained, helper, 30.0)
    length = explained.flatten(1).norm(dim=1)[:, None, None, None]
    assert torch.allclose(followed, torch.where(followed != 0, explained / length, 0.0), rtol=1e-6)
    assert (followed.flatten(1).norm(dim=1) < 0.9).all()


def test_places_without_a_direction_are_not_kept():
    explained = drawn()
    explained[:, :, 0] = 0
    followed, kept = consensus(explained, torch.where(torch.arange(20) == 1, 0.0, 1.0).expand_as(explained), 90.0)
    assert not followed[:, :, 0].any()
    assert not followed[..., 1].any()
    assert bool(followed.isfinite().all())
    assert (kept < 1).all()


def test_a_helper_that_says_nothing_changes_nothing():
    explained = drawn()
    followed, kept = consensus(explained, torch.zeros_like(explained), 30.0)
    assert torch.equal(kept, torch.ones(3, dtype=torch.float64))
    assert torch.allclose(followed.flatten(1).norm(dim=1), torch.ones(3))
