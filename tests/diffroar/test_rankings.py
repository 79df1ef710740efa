"""Rankings of whole sets, against one call of `rank`; and what tells them apart in a store that they share."""

import numpy as np
import pytest
import torch

from gradaudit.attributions import attribute_all, rank, resolve_attribution
from gradaudit.batching import CPU_CAP
from gradaudit.instruments.diffroar.rankings import Ranker
from gradaudit.training import Store

CPU = torch.device("cpu")


def ranker_of(planted, store, *, images=(20, 12), channels=1, features="coordinates", target="label", seed=0, weights=0):
    sets = dict(zip(("train", "test"), (planted.images(count, place, channels) for place, count in enumerate(images)), strict=True))
    return Ranker(planted.classifier(channels, weights), sets, features, target, seed, Store(store), CPU)


def ranks_of(ranker, attribution):
    resolved = dict.fromkeys(("train", "test"), resolve_attribution(attribution, seed=ranker.seed))
    found = ranker.rankings({"ours": resolved}, make=True)["ours"]
    return {part: np.asarray(one.ranks) for part, one in found.items()}


def expected(ranker, attribution):
    """All scores at once, ranked in one call."""
    given = {"target": ranker.target, "seed": ranker.seed, "device": CPU}
    scores = {part: attribute_all(ranker.classifier, images, attribution, **given) for part, images in ranker.sets.items()}
    return {part: rank(one, 0, ranker.seed, ranker.features) for part, one in scores.items()}


def assert_as_expected(ranker, attribution):
    found, wanted = ranks_of(ranker, attribution), expected(ranker, attribution)
    assert found.keys() == wanted.keys()
    for part, ranks in wanted.items():
        np.testing.assert_array_equal(found[part], ranks)


def nothing(classifier, images, targets):
    """Zeros: every rank is a tie."""
    return torch.zeros_like(images)


def rough(classifier, images, targets):
    """The target's weights in steps, so that there are ties."""
    return (20 * classifier[1].weight[targets]).round().view(images.shape)


@pytest.mark.parametrize("features", ["coordinates", "pixels"])
def test_ties_belong_to_an_images_place_in_the_whole_set(planted, tmp_path, features):
    ranker = ranker_of(planted, tmp_path, images=(CPU_CAP + 40, CPU_CAP + 1), features=features, channels=3)
    assert_as_expected(ranker, nothing)


CHANGES = [
    {"seed": 1},
    {"target": "predicted"},
    {"target": "all"},
    {"features": "pixels"},
    {"weights": 1},
    {"images": (20, 13)},
]


@pytest.mark.parametrize("changed", CHANGES, ids=lambda changed: next(iter(changed)))
def test_whatever_decides_a_ranking_tells_it_from_others_in_the_store(planted, tmp_path, changed):
    plain, other = ranker_of(planted, tmp_path, channels=3), ranker_of(planted, tmp_path, channels=3, **changed)
    assert any(not np.array_equal(expected(plain, rough)[part], expected(other, rough)[part]) for part in ("train", "test"))
    assert_as_expected(plain, rough)
    assert_as_expected(other, rough)


def test_a_ranking_that_knows_no_classifier_is_shared_by_all(planted, tmp_path):
    ranks_of(ranker_of(planted, tmp_path), "edges")
    files = sorted(tmp_path.rglob("*.npy"))
    ranks_of(ranker_of(planted, tmp_path, weights=1, target="predicted"), "edges")
    assert sorted(tmp_path.rglob("*.npy")) == files
    assert len(files) == 2


def test_ranks_that_are_equal_have_one_fingerprint_and_others_another(planted, tmp_path):
    ranker = ranker_of(planted, tmp_path)
    twice = {name: {"test": resolve_attribution(name)} for name in ("logit_gradient", "loss_gradient", "random")}
    prints = {name: one["test"].fingerprint for name, one in ranker.rankings(twice, make=True).items()}
    again = {name: one["test"].fingerprint for name, one in ranker.rankings(twice, make=True).items()}
    assert prints == again
    assert len(set(prints.values())) == 3
