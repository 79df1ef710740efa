"""DiffROAR end to end on a planted problem, and every accuracy against a learner fitted on a masked copy of the images."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

import gradaudit as ga
from gradaudit.devices import one_thread, seeded
from gradaudit.instruments.diffroar.measures import ACCURACIES, COLUMNS
from gradaudit.training.fitting import accuracy, autocast, fit
from gradaudit.usable_information import bits_free_to_ignore, calibrated_bits, packed_bits, unpacked_bits

CPU = torch.device("cpu")
RETRAINED = [name for name in COLUMNS if not name.startswith(("values", "selection", "swap", "as_read"))]


@pytest.fixture(scope="module", name="sets")
def sets_fixture(planted):
    return planted.images(300, 0), planted.images(100, 1)


@pytest.fixture(name="run")
def run_fixture(planted, sets, tmp_path):
    def run(attribution, **options):
        chosen = {"learner": planted.recipe, "workers": 1, "device": "cpu", "controls": (), "seeds": 3, "mask_only": False}
        return ga.diffroar(planted.classifier(), *sets, attribution, evaluate="retrain", store=tmp_path, **(chosen | options))

    return run


def random_scores(images, seed):
    return torch.randn(images.images.shape, generator=torch.Generator().manual_seed(seed))


def test_scores_that_point_at_the_label_hold(run, sets, planted):
    result = run(tuple(planted.scores(part, 1.0, 0.0) for part in sets), levels=(10 / 64,))
    assert result.verdict.label == "holds"
    assert result.table["top"].min() == 1.0
    assert result.summary["mean"].item() > 0.85  # 1 less chance, which is 0.1
    assert result.details["chance"] == 0.1
    assert min(result.details["whole"]) > 0.95


def test_scores_that_point_away_from_the_label_are_violated(run, sets, planted):
    result = run(tuple(planted.scores(part, 0.0, 1.0) for part in sets), levels=(0.2, 0.4))
    assert result.verdict.label == "violated"
    assert result.summary["mean"].max() < -0.7


def test_random_scores_are_inconclusive(run, sets):
    result = run(tuple(random_scores(part, 5) for part in sets), levels=(0.3, 0.6), seeds=5)
    assert result.verdict.label == "inconclusive"
    assert result.summary["mean"].abs().max() < 0.08


def test_the_table_is_tidy_and_complete(run):
    result = run(["logit_gradient", "loss_gradient"], levels=[0.4, 0.1], seeds=[7, 3], controls=["random"], mask_only=True)
    assert tuple(result.table) == COLUMNS
    keys = list(result.table[["attribution", "level", "seed"]].itertuples(index=False, name=None))
    assert keys == [
        (name, level, seed) for name in ("logit_gradient", "loss_gradient", "random") for level in (0.1, 0.4) for seed in (7, 3)
    ]
    pd.testing.assert_series_equal(result.table["diffroar"], result.table["top"] - result.table["bottom"], check_names=False)
    assert result.table[[*RETRAINED]].notna().all(axis=None)
    assert result.table.drop(columns=[*RETRAINED]).isna().all(axis=None)
    assert set(result.verdicts) == {"logit_gradient", "loss_gradient"}
    assert result.settings["seeds"] == [7, 3]


def test_a_number_of_seeds_counts_from_the_seed(run):
    assert run("logit_gradient", seeds=2, seed=11, levels=(0.2,)).settings["seeds"] == [11, 12]


def test_what_was_not_measured_is_nan(run):
    raw, masks = (run("logit_gradient", levels=(0.2,), mask_only=mask, conditional=False).table for mask in (False, True))
    named = {name for name in COLUMNS if "mask" in name}, {name for name in COLUMNS if "both" in name or "conditional" in name}
    assert {name for name in RETRAINED if raw[name].isna().any()} == named[0] | named[1]
    assert {name for name in RETRAINED if masks[name].isna().any()} == named[1]


def test_a_result_comes_back_from_its_files(run, tmp_path):
    result = run(["logit_gradient", {"mine": "loss_gradient"}], levels=(0.2,), controls=("edges",))
    again = ga.load_result(result.save(tmp_path / "out"))
    pd.testing.assert_frame_equal(again.table, result.table)
    assert again.to_json() == result.to_json()
    assert (again.verdicts, again.audited, again.controls) == (result.verdicts, ("logit_gradient", "mine"), ("edges",))
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "out/diffroar.csv"), result.table)


def test_controls_run_beside_and_need_no_classifier(run):
    result = run("logit_gradient", controls=("random", "edges"), levels=(0.2,))
    assert list(result.summary["attribution"]) == ["logit_gradient", "random", "edges"]


def test_rankings_that_are_equal_share_their_fits(run, planted, tmp_path):
    scores = [tuple(planted.scores(part, 1.0, 0.0) for part in (planted.images(300, 0), planted.images(100, 1))) for _ in range(2)]
    result = run([{"one": scores[0]}, {"two": scores[1]}], levels=(0.2,), seeds=2)
    one, two = (result.table[result.table["attribution"] == name].drop(columns="attribution") for name in ("one", "two"))
    pd.testing.assert_frame_equal(one.reset_index(drop=True), two.reset_index(drop=True))
    assert len(planted.fits(tmp_path)) == 2 * (1 + 2)


def test_scores_from_files_are_those_from_memory(run, sets, tmp_path):
    scores = [random_scores(part, 2) for part in sets]
    for name, part in zip(("train", "test"), scores, strict=True):
        np.save(tmp_path / f"{name}.npy", part.numpy())
    memory = run({"mine": tuple(scores)}, levels=(0.2,))
    files = run({"mine": (tmp_path / "train.npy", str(tmp_path / "test.npy"))}, levels=(0.2,))
    arrays = run({"mine": tuple(part.numpy() for part in scores)}, levels=(0.2,))
    pd.testing.assert_frame_equal(memory.table, files.table)
    pd.testing.assert_frame_equal(memory.table, arrays.table)


def logits_of_the_targets(classifier, images, targets):
    """A user's own: which class it is asked about shows in the scores."""
    return classifier[1].weight[targets].view(images.shape)


def test_the_target_is_the_label_or_the_predicted_class(run, sets, planted):
    classifier = planted.classifier()
    with torch.no_grad():
        predicted = [classifier(part.floats()).argmax(1) for part in sets]
    assert any(not torch.equal(part, one.labels) for part, one in zip(predicted, sets, strict=True))
    for target, classes in (("label", [part.labels for part in sets]), ("predicted", predicted)):
        scores = tuple(classifier[1].weight.detach()[one].view(part.images.shape) for one, part in zip(classes, sets, strict=True))
        own = run({"own": logits_of_the_targets}, target=target, levels=(0.2,))
        pd.testing.assert_frame_equal(own.table, run({"own": scores}, levels=(0.2,)).table)


def masked(images, scores, keep, side, fill, pixels):
    """The images with the features that rank too low (or too high) removed, by sorting, and the mask; scores must have no ties."""
    magnitude = scores.abs().sum(1, keepdim=True) if pixels else scores.abs()
    order = magnitude.flatten(1).argsort(1, descending=side == "top")
    mask = torch.zeros_like(magnitude.flatten(1), dtype=torch.bool).scatter_(1, order[:, :keep], value=True)
    mask = mask.view_as(magnitude)
    return torch.where(mask, images.floats(), fill), mask.float()


def seen_by(column, images, mask):
    """What a learner of the column sees."""
    if column.startswith("both"):
        return torch.cat([images, mask], 1)
    return mask.expand_as(images) if column.startswith("mask") else images


def knowledge_of(recipe, train, test, labels):
    """Accuracy, and bits of each test image, of a learner that was fitted on floats that lie in memory."""
    with one_thread(), seeded(recipe.seed):
        learner = recipe.build(tuple(train.shape[1:]), 10)
        fit(learner, lambda at: (train[at], labels[0][at]), len(train), recipe, device=CPU)
        share = accuracy(learner, lambda at: (test[at], labels[1][at]), len(test), recipe, device=CPU)
        with torch.no_grad(), autocast(recipe, CPU):
            logits = learner(test).float()
    prior = np.bincount(labels[0]) / len(labels[0])
    return share, calibrated_bits(logits.numpy(), labels[1].numpy(), prior, recipe.seed)


@pytest.mark.parametrize(
    ("channels", "features", "fill", "network"),
    [
        (1, "coordinates", "zero", "linear"),
        (1, "coordinates", "mean", "linear"),
        (3, "coordinates", "mean", "mlp(width=16, depth=1)"),
        (3, "pixels", "zero", "mlp(width=16, depth=1)"),
        (3, "pixels", "mean", "convnet"),
    ],
)
def test_every_accuracy_is_that_of_a_learner_on_a_masked_copy(planted, tmp_path, channels, features, fill, network):
    sets = planted.images(90, 0, channels), planted.images(40, 1, channels)
    scores = tuple(random_scores(part, place) for place, part in enumerate(sets))
    recipe = planted.recipe.with_(network=network, learning_rate=0.05)
    result = ga.diffroar(
        planted.classifier(channels),
        *sets,
        {"mine": scores},
        evaluate="retrain",
        learner=recipe,
        levels=(0.1, 0.5),
        seeds=2,
        controls=(),
        features=features,
        fill=fill,
        store=tmp_path,
        workers=1,
        device="cpu",
    )
    value = (sets[0].images.double().mean((0, 2, 3)) / 255).float().view(-1, 1, 1) if fill == "mean" else torch.zeros(())
    count = (1 if features == "pixels" else channels) * 64
    labels = [part.labels for part in sets]
    for row in result.table.to_dict("records"):
        found = {}
        for column in ACCURACIES:
            keep, side = round(row["level"] * count), column.rpartition("_")[2]
            seen = [
                seen_by(column, *masked(part, one, keep, side, value, features == "pixels"))
                for part, one in zip(sets, scores, strict=True)
            ]
            share, found[column] = knowledge_of(recipe.with_(seed=row["seed"]), *seen, labels)
            assert row[column] == share, (row, column)
            if column.startswith("both"):  # is free to ignore the image
                kept = (unpacked_bits(packed_bits(found[one])) for one in (column, f"mask_{side}"))  # as the store has them: ties
                found[column] = bits_free_to_ignore(*kept, row["seed"])
            assert row[f"bits_{column}"] == pytest.approx(found[column].mean(), abs=1e-3)
    for seed, whole in enumerate(zip(result.details["whole"], result.details["whole_bits"], strict=True)):
        share, bits = knowledge_of(recipe.with_(seed=seed), *(part.floats() for part in sets), labels)
        assert whole == pytest.approx((share, bits.mean()), abs=1e-4)
    for row in result.table.to_dict("records"):
        added = {side: row[f"bits_mask_{side}"] - row[f"bits_both_{side}"] for side in ("top", "bottom")}
        assert row["diffroar_bits"] == pytest.approx(row["bits_bottom"] - row["bits_top"])
        assert row["diffroar_conditional"] == pytest.approx(added["top"] - added["bottom"])


def test_gradients_are_ranked_as_scores_computed_by_hand(run, sets, planted):
    classifier, scores = planted.classifier(), []
    for part in sets:
        images = part.floats().requires_grad_()
        F.cross_entropy(classifier(images), part.labels, reduction="sum").backward()
        scores.append(images.grad)
    by_name, by_hand = run({"loss": "loss_gradient"}, levels=(0.2,)), run({"loss": tuple(scores)}, levels=(0.2,))
    pd.testing.assert_frame_equal(by_name.table, by_hand.table)


def test_the_plan_says_what_is_done(planted, tmp_path):
    arguments = (planted.classifier(), planted.images(200, 0), planted.images(100, 1))
    options = {"levels": (0.1, 0.3), "seeds": 3, "controls": ("random",), "learner": planted.recipe, "workers": 1, "device": "cpu"}
    before = ga.prepare_diffroar(*arguments, evaluate="retrain", store=tmp_path, **options).plan()
    assert (before.networks, before.stored) == (3 * (1 + 2 * 2 * 6), 0)
    assert before.seconds > 0
    assert not planted.fits(tmp_path)
    planted.grid(tmp_path)
    assert len(planted.fits(tmp_path)) == before.networks
    after = ga.prepare_diffroar(*arguments, evaluate="retrain", store=tmp_path, **options).plan()
    assert (after.networks, after.stored, after.seconds) == (75, 75, 0)
    assert "nothing to train" in str(after)
    other = ga.prepare_diffroar(*arguments, "loss_gradient", evaluate="retrain", store=tmp_path, **options).plan()
    assert (other.networks, other.stored) == (75, 3 * (1 + 2 * 6))  # whole images and the control


def test_the_classifier_is_left_as_it_was(planted, tmp_path):
    classifier = planted.classifier().train()
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    ga.diffroar(
        classifier,
        planted.images(60, 0),
        planted.images(30, 1),
        evaluate="retrain",
        learner=planted.recipe,
        seeds=1,
        store=tmp_path,
        workers=1,
        device="cpu",
    )
    assert classifier.training
    assert all(weight.requires_grad and weight.grad is None for weight in classifier.parameters())
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())


def test_the_plot_shows_every_attribution_and_control(run):
    figure = run(["logit_gradient", "loss_gradient"], controls=("random",), levels=(0.2, 0.4), mask_only=True).plot()
    *differences, _, _ = figure.axes
    accuracies = figure.axes[2:]
    for axes in differences:
        assert axes.get_legend_handles_labels()[1] == ["logit_gradient", "loss_gradient", "random (control)"]
    assert [axes.get_title() for axes in differences] == ["DiffROAR", "given the mask"]
    assert [axes.get_title() for axes in accuracies] == ["logit_gradient", "loss_gradient"]
    assert {"top mask alone", "whole images", "chance"} <= set(accuracies[0].get_legend_handles_labels()[1])
