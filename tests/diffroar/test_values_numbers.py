"""Every number of a DiffROAR run of values, put together by hand from what its networks make of images under masks made naively."""

import numpy as np
import pytest
import torch

import gradaudit as ga
from gradaudit.attributions import attribute_all
from gradaudit.evaluator import trained
from gradaudit.instruments.diffroar.statistics import image_variance, interval

RECIPE = ga.Recipe(network="mlp(width=64)", epochs=30, batch_size=32, optimizer="adamw", learning_rate=0.003)
LEVELS, SEEDS, COUNT, FEATURES = (0.01, 0.2), (0, 1), 80, 64
KEPT = {0.01: 1, 0.2: 13}
NAMES = ("ours", "random", "edges")


def uneven(images):
    """Twice as many of the first classes as of the last, so that the prior is not the same for all labels."""
    return images[[place for place in range(len(images)) if images.labels[place] < 5 or place % 2]]


@pytest.fixture(scope="module", name="run")
def run_fixture(planted, tmp_path_factory):
    sets = uneven(planted.images(500, 0)), uneven(planted.images(110, 1))[:COUNT]
    scores = planted.scores(sets[1], 1.0, 0.0) + torch.rand(sets[1].images.shape, generator=torch.Generator().manual_seed(0))
    options = {"evaluator": RECIPE, "levels": LEVELS, "seeds": SEEDS, "controls": NAMES[1:], "workers": 1, "device": "cpu"}
    return ga.prepare_diffroar(
        planted.classifier(), *sets, {"ours": scores}, gap=2, store=tmp_path_factory.mktemp("store"), **options
    )


@pytest.fixture(scope="module", name="result")
def result_fixture(run):
    return run.run()


@pytest.fixture(scope="module", name="networks")
def networks_fixture(run):
    """Evaluators by seed, and networks of one kind of mask by level and seed, with the seeds that their readings go by."""
    trainings = run.trainings(run.rankings(make=True))
    return {key: (trained(one, run.grid.crew.store), one.seed) for key, one in trainings.items()}


@pytest.fixture(scope="module", name="read")
def read_fixture(run, networks):
    """What an evaluator makes of the test images under the masks of a ranking, level and side."""
    test, ranker = run.grid.sets["test"], run.grid.ranker
    given = run.grid.attributions | run.grid.controls
    scores = {
        name: attribute_all(ranker.classifier, test, given[name]["test"], seed=ranker.seed, device="cpu").abs().flatten(1).numpy()
        for name in NAMES
    }

    def read(name, level, seed, side):
        shift = run.grid.shift(name, seed)
        masks = np.zeros((COUNT, FEATURES), bool)
        for place in range(COUNT):
            order = np.argsort(-scores[name][(place + shift) % COUNT])
            masks[place, order[: KEPT[level]] if side == "top" else order[-KEPT[level] :]] = True
        evaluator, own = networks["evaluator", seed]
        return evaluator.read(test, masks, seed=own)

    return read


@pytest.fixture(scope="module", name="left")
def left_fixture(run):
    """Bits that the prior leaves open of each test image, (N,)."""
    train, test = (run.grid.sets[part].labels.numpy() for part in ("train", "test"))
    shares = np.bincount(train) / len(train)
    return -np.log2(shares[test])


def value(table, column, name, level, seed):
    chosen = table[(table["attribution"] == name) & (table["level"] == level) & (table["seed"] == seed)]
    return chosen[column].item()


# The control edges has ties, whose order is the ranking's own.
@pytest.mark.parametrize("name", ["ours", "random"])
def test_the_table_is_what_the_evaluators_read(result, read, left, name):
    for level in LEVELS:
        for seed in SEEDS:
            told = {}
            for side in ("top", "bottom"):
                found = read(name, level, seed, side)
                told[side] = (left - found.bits).mean()
                expected = {
                    side: found.hits.mean(),
                    f"bits_{side}": found.bits.mean(),
                    f"values_{side}": told[side],
                    f"swap_{side}": (left - found.choice).mean(),
                    f"as_read_{side}": (left - found.as_read).mean(),
                }
                row = {column: value(result.table, column, name, level, seed) for column in expected}
                assert row == pytest.approx(expected, abs=1e-6)
            assert value(result.table, "values", name, level, seed) == pytest.approx(told["top"] - told["bottom"], abs=1e-6)


def test_the_evaluators_have_learned_something(result):
    """Or the numbers above and below would be compared with nothing."""
    assert value(result.table, "values_top", "ours", 0.2, 0) > 2.0
    assert all(0.2 < value(result.table, f"values_{side}", "random", 0.2, 0) < 2.0 for side in ("top", "bottom"))


def test_nothing_is_what_the_training_labels_leave_open_of_the_test_labels(result, left):
    assert result.details["nothing"] == pytest.approx(left.mean())
    assert left.std() > 0.3  # the classes are uneven


def by_image(read, left, name, level, kind="bits"):
    """Each seed's values of each image, top less bottom, (S, N), rounded to half precision as they are kept."""
    sides = [[getattr(read(name, level, seed, side), kind) for seed in SEEDS] for side in ("top", "bottom")]
    top, bottom = (left - np.array(side).astype(np.float16) for side in sides)
    return top, bottom


def test_what_the_choice_of_images_adds_is_that_of_the_values_of_every_image(result, read, left):
    for place, level in enumerate(LEVELS):
        top, bottom = by_image(read, left, "ours", level)
        for measure, values in (("values", top - bottom), ("values_top", top), ("values_bottom", bottom)):
            assert result.details[f"{measure}_image_variance"]["ours"][place] == pytest.approx(image_variance(values), rel=1e-3)
        swapped = by_image(read, left, "ours", level, "choice")[0]
        assert result.details["swap_top_image_variance"]["ours"][place] == pytest.approx(image_variance(swapped), rel=1e-3)


def test_the_lead_over_a_control_is_the_paired_difference_with_its_interval(result, read, left):
    for place, level in enumerate(LEVELS):
        ours, random = (np.subtract(*by_image(read, left, name, level)) for name in ("ours", "random"))
        difference = ours - random
        expected = interval(list(difference.mean(axis=1)), len(LEVELS), 1 / COUNT, image_variance(difference), COUNT)
        row = result.details["against"]["ours"]["random"][place]
        assert row["level"] == level
        ends = (expected.mean, expected.low_all, expected.high_all)
        assert (row["mean"], row["low_all"], row["high_all"]) == pytest.approx(ends, abs=1e-3)
    assert set(result.details["against"]["ours"]) == {"random", "edges"}


def test_the_gap_is_what_networks_of_one_kind_of_mask_know_more(run, result, networks, left):
    test = run.grid.sets["test"]
    scores = attribute_all(None, test, "random", seed=run.grid.compared.seed, device="cpu").abs().flatten(1).numpy()
    assert [gap["level"] for gap in result.details["gap"]] == list(LEVELS)
    for gap in result.details["gap"]:
        level = gap["level"]
        masks = np.argsort(np.argsort(-scores, axis=1), axis=1) < KEPT[level]
        found = [
            [networks[key][0].read(test, masks, seed=networks[key][1]).bits for key in keys]
            for keys in ([("evaluator", seed) for seed in SEEDS], [("gap", level, seed) for seed in SEEDS])
        ]
        ours, alone = np.array(found)
        difference = ours.astype(np.float16).astype(float) - alone.astype(np.float16)
        expected = interval(list(difference.mean(axis=1)), 1, 1 / COUNT, image_variance(difference), COUNT)
        assert (gap["mean"], gap["low"], gap["high"]) == pytest.approx((expected.mean, expected.low, expected.high), abs=1e-3)
        assert gap["alone"] == pytest.approx(left.mean() - alone.mean(), abs=1e-6)
        assert gap["seeds"] == 2


def test_a_gap_of_a_single_network_has_the_normal_interval_over_images(run, planted, tmp_path):
    options = {"evaluator": RECIPE.with_(epochs=20), "levels": (0.2,), "seeds": (0,), "controls": (), "workers": 1, "device": "cpu"}
    sets = run.grid.sets["train"], run.grid.sets["test"]
    alone = ga.prepare_diffroar(planted.classifier(), *sets, "logit_gradient", gap=1, store=tmp_path, **options)
    (gap,) = alone.run().details["gap"]
    trainings = alone.trainings(alone.rankings(make=True))
    scores = attribute_all(None, sets[1], "random", seed=alone.grid.compared.seed, device="cpu").abs().flatten(1).numpy()
    masks = np.argsort(np.argsort(-scores, axis=1), axis=1) < KEPT[0.2]
    ours, other = (
        trained(trainings[key], alone.grid.crew.store).read(sets[1], masks, seed=0).bits
        for key in (("evaluator", 0), ("gap", 0.2, 0))
    )
    difference = ours - other
    half = 1.96 * difference.std(ddof=1) / np.sqrt(COUNT)
    expected = difference.mean(), difference.mean() - half, difference.mean() + half
    assert (gap["mean"], gap["low"], gap["high"]) == pytest.approx(expected, abs=1e-3)


def test_evaluators_are_trained_for_the_lowest_level_that_they_read(run, networks):
    trainings = run.trainings(run.rankings(make=False))
    assert {one.lowest for one in trainings.values()} == {0.01}
    assert {key[1]: one.only for key, one in trainings.items() if key[0] == "gap"} == {level: level for level in LEVELS}
