"""DiffROAR of values end to end: one evaluator for all, what it reads, what bounds its error, and what its verdict says."""

import numpy as np
import pandas as pd
import pytest
import torch

import gradaudit as ga
from gradaudit.instruments.diffroar.result import judge
from gradaudit.instruments.diffroar.statistics import summarise

QUICK = ga.Recipe(network="convnet(width=8, batch_norm=true)", epochs=12, batch_size=32, learning_rate=0.1)


@pytest.fixture(scope="module", name="sets")
def sets_fixture(planted):
    return planted.images(600, 0), planted.images(300, 1)


@pytest.fixture(scope="module", name="store")
def store_fixture(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module", name="run")
def run_fixture(planted, sets, store):
    def run(attribution="logit_gradient", **options):
        chosen = {"evaluator": QUICK, "levels": (10 / 64, 0.3), "seeds": 2, "controls": ("random", "edges"), "gap": 0}
        how = {"store": store, "workers": 1, "device": "cpu"}
        return ga.diffroar(planted.classifier(), *sets, attribution, **(how | chosen | options))

    return run


@pytest.fixture(scope="module", name="told")
def told_fixture(run, planted, sets):
    """Rankings that know the block, that hide it, and that know nothing."""
    test = sets[1]
    noise = torch.rand(test.images.shape, generator=torch.Generator().manual_seed(3))
    named = {"inside": planted.scores(test, 2.0, 0.0) + noise, "outside": planted.scores(test, 0.0, 2.0) + noise, "blind": noise}
    return run([{name: scores} for name, scores in named.items()], gap=1)


def rows_of(result, name, level=10 / 64):
    summary = result.summary
    return summary[(summary["attribution"] == name) & (summary["level"] == level)].iloc[0]


def test_the_block_tells_the_label_and_the_rest_nothing(told):
    inside, outside = rows_of(told, "inside"), rows_of(told, "outside")
    entropy = told.details["nothing"]
    assert inside["values_top_mean"] > 0.9 * entropy
    assert abs(inside["values_bottom_mean"]) < 0.03
    assert inside["values_mean"] == pytest.approx(-outside["values_mean"], abs=0.1 * entropy)


def test_the_table_is_tidy_and_its_columns_are_bound_to_each_other(told):
    table = told.table
    assert list(table["attribution"].unique()) == ["inside", "outside", "blind", "random", "edges"]
    assert len(table) == 5 * 2 * 2
    pd.testing.assert_series_equal(table["values"], table["values_top"] - table["values_bottom"], check_names=False)
    for side in ("top", "bottom"):
        left = told.details["nothing"] - table[f"bits_{side}"]
        pd.testing.assert_series_equal(table[f"values_{side}"], left, check_names=False)
    assert table[["selection_top", "selection_bottom", "mask_top", "bits_both_top"]].isna().all(axis=None)


def test_accuracies_stand_beside_the_bits(told):
    inside = rows_of(told, "inside")
    assert inside["top"] > 0.95
    assert inside["bottom"] < 0.25
    assert min(told.details["whole"]) > 0.95


def test_verdicts_are_against_the_edges(told):
    labels = {name: verdict.label for name, verdict in told.verdicts.items()}
    assert labels["inside"] in ("more than edges", "no more than edges")
    assert labels["outside"] == "upside down"
    assert labels["blind"] in ("not settled", "not at all")
    assert told.verdict == told.verdicts["inside"]


def test_the_swap_test_is_in_the_result_with_an_interval(told):
    inside = rows_of(told, "inside")
    for side in ("top", "bottom"):
        assert abs(inside[f"swap_{side}_mean"]) < 0.02
        assert inside[f"swap_{side}_low"] <= inside[f"swap_{side}_mean"] <= inside[f"swap_{side}_high"]


def test_the_gap_is_measured_at_the_lowest_level_and_one_in_the_middle(told):
    gaps = told.details["gap"]
    assert [gap["level"] for gap in gaps] == [10 / 64, 0.3]
    assert all(gap["low"] <= gap["mean"] <= gap["high"] and gap["seeds"] == 1 for gap in gaps)


def test_every_image_counts_and_the_interval_covers_images_and_evaluators(told):
    blind = rows_of(told, "blind")
    assert blind["values_low"] < blind["values_mean"] < blind["values_high"]
    assert told.details["values_image_variance"]["blind"][0] > 0


def test_random_masks_differ_from_seed_to_seed(told):
    table = told.table[(told.table["attribution"] == "random") & (told.table["level"] == 0.3)]
    assert table["values_top"].nunique() == 2


def test_a_result_is_saved_loaded_and_drawn(told, tmp_path):
    loaded = ga.load_result(told.save(tmp_path / "out"))
    pd.testing.assert_frame_equal(loaded.table, told.table)
    assert loaded.verdicts == told.verdicts
    assert loaded.of_values
    figure = loaded.plot()
    assert len(figure.axes) == 4  # the comparison, and one panel for each audited attribution
    assert figure.axes[0].get_ylabel() == "values, top - bottom, bits"


def test_a_confession_of_the_mask_is_not_read(run, planted, sets):
    test = sets[1]
    place = torch.arange(64).view(1, 1, 8, 8)
    scores = (place % 10 == test.labels.view(-1, 1, 1, 1)).float() + torch.rand(
        test.images.shape, generator=torch.Generator().manual_seed(0)
    )
    scores[(slice(None), slice(None), *planted.block)] = 0.5  # the block is in neither
    result = run({"confesses": scores}, levels=(0.08,), controls=())
    assert abs(rows_of(result, "confesses", 0.08)["values_top_mean"]) < 0.05


def evaluators_in(store):
    return sorted(store.glob("evaluators/*/*.safetensors"))


def test_a_second_run_trains_nothing_and_gives_the_same(run, tmp_path):
    first = run(store=tmp_path)
    files = {path: path.stat().st_mtime_ns for path in evaluators_in(tmp_path)}
    assert len(files) == 2
    again = run(store=tmp_path)
    pd.testing.assert_frame_equal(first.table, again.table)
    assert {path: path.stat().st_mtime_ns for path in evaluators_in(tmp_path)} == files


def test_other_levels_of_the_same_rankings_share_the_evaluators(run, tmp_path):
    run(store=tmp_path)
    run(store=tmp_path, levels=(0.05, 0.5))
    assert len(evaluators_in(tmp_path)) == 2


def test_workers_do_not_change_the_numbers(run, tmp_path):
    one, two = run(store=tmp_path / "one", workers=1), run(store=tmp_path / "two", workers=2)
    pd.testing.assert_frame_equal(one.table, two.table)


def test_a_run_that_was_stopped_keeps_its_evaluators(run, tmp_path, monkeypatch):
    from gradaudit.instruments.diffroar import reading

    def broken(*arguments):
        raise RuntimeError("stopped")

    with monkeypatch.context() as patched:
        patched.setattr(reading, "read", broken)
        with pytest.raises(RuntimeError, match="stopped"):
            run(store=tmp_path)
    files = {path: path.stat().st_mtime_ns for path in evaluators_in(tmp_path)}
    assert len(files) == 2
    pd.testing.assert_frame_equal(run(store=tmp_path).table, run().table)
    assert {path: path.stat().st_mtime_ns for path in evaluators_in(tmp_path)} == files


def test_a_plan_counts_evaluators_and_says_when_nothing_is_left(planted, sets, tmp_path):
    options = {"evaluator": QUICK, "levels": (0.1, 0.3), "seeds": 2, "controls": ("edges",), "store": tmp_path, "device": "cpu"}
    run = ga.prepare_diffroar(planted.classifier(), *sets, gap=1, workers=1, **options)
    plan = run.plan()
    assert (plan.networks, plan.stored) == (4, 0)
    assert plan.seconds > 0
    run.run()
    after = run.plan()
    assert (after.networks, after.stored) == (4, 4)
    assert "nothing to train" in str(after)


def test_selection_is_what_learners_of_mask_and_pixels_know_beyond(run, planted, sets):
    train, test = sets
    place = torch.arange(64).view(1, 1, 8, 8)
    generator = torch.Generator().manual_seed(0)

    def confessing(images):
        noise = torch.rand(images.images.shape, generator=generator)
        scores = 2.0 * (place % 10 == images.labels.view(-1, 1, 1, 1)) + noise
        scores[(slice(None), slice(None), *planted.block)] = 1.5
        return scores

    learner = ga.Recipe(network="mlp(width=64)", epochs=12, batch_size=32, optimizer="adamw", learning_rate=0.003)
    pair = (confessing(train), confessing(test))
    result = run({"confesses": pair}, levels=(0.06,), controls=(), selection=True, learner=learner)
    row = rows_of(result, "confesses", 0.06)
    assert row["selection_top_mean"] > 2.0  # of log2(10) = 3.32: the mask tells what the values do not
    assert row["selection_top_mean"] == pytest.approx(row["bits_top"] - row["bits_both_top"])
    assert abs(row["values_top_mean"]) < 0.1


def test_pixels_and_channels(planted, store):
    sets = planted.images(200, 0, channels=3), planted.images(100, 1, channels=3)
    options = {"evaluator": QUICK.with_(epochs=2), "levels": (0.2,), "seeds": 1, "controls": ("edges",), "gap": 0}
    for features in ("coordinates", "pixels"):
        result = ga.diffroar(
            planted.classifier(channels=3), *sets, features=features, store=store, workers=1, device="cpu", **options
        )
        assert result.settings["features"] == features
        assert result.verdict.label == "not settled"  # a single evaluator has no interval


@pytest.mark.parametrize("target", ["predicted", "random", "all"])
def test_targets_are_ranked_as_asked(run, target):
    result = run(target=target, seeds=1, levels=(0.3,))
    assert result.settings["target"] == target
    assert not result.table["values"].isna().any()


def test_a_network_of_the_users_reads_as_well(run, planted):
    result = run(evaluator=planted.classifier(), fine_tune=QUICK.with_(learning_rate=0.05), seeds=2)
    assert result.settings["evaluator"]["network"] == "Sequential"
    assert rows_of(result, "logit_gradient")["seeds"] == 2


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"evaluate": "both"}, "evaluate"),
        ({"evaluator": "nothing"}, "evaluator"),
        ({"evaluator": 3}, "evaluator"),
        ({"gap": -1}, "gap"),
        ({"selection": "yes"}, "selection"),
        ({"selection": True, "evaluate": "retrain"}, "selection"),
        (
            {"fine_tune": "evaluators/none", "evaluator": torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))},
            "fine_tune",
        ),
    ],
)
def test_bad_options_are_named(run, options, argument, tmp_path):
    with pytest.raises(ga.InputError) as caught:
        run(store=tmp_path, **options)
    assert caught.value.argument == argument
    assert not evaluators_in(tmp_path)


def test_scores_of_the_test_images_alone_are_refused_where_learners_are_fitted(run, planted, sets):
    scores = planted.scores(sets[1], 1.0, 0.0)
    for options in ({"evaluate": "retrain"}, {"selection": True}):
        with pytest.raises(ga.InputError, match="a pair of scores"):
            run({"ours": scores}, **options)


LEVELS = (0.02, 0.05, 0.1, 0.2)


def made(values, edges=(0.0,) * 4, *, spread=0.01, seeds=3, **changed):
    """Verdict on made-up values by level, against made-up edges."""
    rows = []
    for name, means in (("ours", values), ("edges", edges)):
        for level, mean in zip(LEVELS, means, strict=True):
            for seed in range(seeds):
                off = (seed - 1) * spread
                row = {"values_top": 1 + mean + off, "values_bottom": 1.0, "values": mean + off, "top": 0.5, "bottom": 0.4}
                row |= {
                    f"{kind}_{side}": changed.get(f"{kind}_{side}", 0.0)
                    for kind in ("swap", "as_read")
                    for side in ("top", "bottom")
                }
                rows.append({"attribution": name, "level": level, "seed": seed, "diffroar": 0.1, "diffroar_bits": mean} | row)
    lead = [
        {"level": level, "mean": ours - theirs, "low_all": ours - theirs - 0.05, "high_all": ours - theirs + 0.05}
        for level, ours, theirs in zip(LEVELS, values, edges, strict=True)
    ]
    details = {
        "whole": changed.get("whole", [0.97]),
        "whole_bits": [0.1],
        "nothing": 3.32,
        "chance": 0.1,
        "gap": changed.get("gap", []),
        "against": {"ours": {"edges": lead}},
    }
    summary = summarise(pd.DataFrame(rows), 1000, details)
    return judge(summary, ("ours",), ("edges",), details)["ours"]


@pytest.mark.parametrize(
    ("values", "edges", "label"),
    [
        ((1.0, 1.2, 1.0, 0.5), (0.5, 0.6, 0.5, 0.5), "more than edges"),
        ((1.0, 1.2, 1.0, 0.5), (0.5, 1.2, 1.0, 0.5), "no more than edges"),
        ((1.0, 1.2, 1.0, 0.5), (0.5, 0.5, 0.5, 0.9), "more than edges"),
        ((1.0, 1.2, 1.0, 0.5), (0.5, 0.5, 1.5, 0.9), "no more than edges"),
        ((1.0, 1.2, 0.0, -0.3), (0.0, 0.0, 0.0, -0.9), "more than edges"),
        ((-0.5, 0.0, 0.0, 0.0), (0.5, 0.6, 0.5, 0.5), "upside down"),
        ((0.0, 0.0, 0.0, 0.0), (0.5, 0.6, 0.5, 0.5), "not at all"),
    ],
)
def test_the_label_follows_the_values_and_their_lead(values, edges, label):
    assert made(values, edges).label == label


def test_a_level_at_which_edges_do_better_is_named():
    assert any("at 20% edges do better" in caveat for caveat in made((1.0, 1.2, 1.0, 0.5), (0.5, 0.5, 0.5, 0.9)).caveats)


def test_what_could_be_anything_is_not_settled():
    assert made((0.1, -0.1, 0.1, 0.0), spread=0.5).label == "not settled"
    assert made((1.0, 1.0, 1.0, 1.0), seeds=1).label == "not settled"


def test_a_level_where_it_is_the_other_way_round_is_named():
    verdict = made((1.0, 1.2, 0.5, -0.3))
    assert any("at 20%" in caveat and "other way round" in caveat for caveat in verdict.caveats)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"gap": [{"level": 0.02, "mean": 0.2, "low": 0.1, "high": 0.3, "alone": 1.0}]}, "0.200 bits more"),
        ({"swap_top": 0.08}, "read from the choice"),
        ({"as_read_bottom": -0.4}, "the bottom 2% mislead"),
        ({"whole": [0.12]}, "hardly learned"),
    ],
)
def test_what_bounds_the_error_is_a_caveat(changed, words):
    assert any(words in caveat for caveat in made((1.0, 1.0, 1.0, 1.0), **changed).caveats)
    assert not made((1.0, 1.0, 1.0, 1.0)).caveats


def test_small_gaps_and_small_swaps_are_none():
    gap = [{"level": 0.02, "mean": 0.015, "low": 0.01, "high": 0.02, "alone": 1.0}]
    assert not made((1.0, 1.0, 1.0, 1.0), gap=gap, swap_top=0.01).caveats


def test_the_numbers_are_finite(told):
    assert np.isfinite(told.table[["values", "swap_top", "as_read_top"]].to_numpy()).all()


@pytest.mark.parametrize("option", [{"learner": "learners/fast-mlp"}, {"conditional": True}])
def test_options_of_learners_are_refused_where_none_is_fitted(run, option):
    with pytest.raises(ga.InputError, match="no learner is fitted") as caught:
        run(**option)
    assert caught.value.argument == next(iter(option))


def judged_against(**leads):
    """Verdict on made-up values of 1, with a lead over each control that is the same at every level."""
    leads = {name.replace("blurred", "blurred(sigma=2)"): lead for name, lead in leads.items()}
    rows = [
        {"attribution": name, "level": level, "seed": seed, "values": 1 - lead, "values_top": 1 - lead, "values_bottom": 0.0}
        | dict.fromkeys(("top", "bottom", "diffroar", "diffroar_bits"), 0.0)
        | {f"{kind}_{side}": 0.0 for kind in ("swap", "as_read") for side in ("top", "bottom")}
        for name, lead in (("ours", 0.0), *leads.items())
        for level in LEVELS
        for seed in range(3)
    ]
    against = {
        name: [{"level": level, "mean": lead, "low_all": lead - 0.1, "high_all": lead + 0.1} for level in LEVELS]
        for name, lead in leads.items()
    }
    details = {"whole": [0.97], "whole_bits": [0.1], "nothing": 3.32, "chance": 0.1, "gap": [], "against": {"ours": against}}
    return judge(summarise(pd.DataFrame(rows), 1000, details), ("ours",), tuple(leads), details)["ours"]


def test_an_untrained_network_must_be_beaten():
    assert judged_against(untrained=0.5).label == "more than untrained"
    verdict = judged_against(untrained=-0.5)
    assert verdict.label == "no more than untrained"
    assert "which was never trained (behind at 2%, 5%, 10%, 20%)" in verdict.sentence


@pytest.mark.parametrize(("others", "label"), [({"edges": 0.5}, "more than edges"), ({}, "informative first")])
def test_a_blurred_map_need_not_be_beaten_but_is_named(others, label):
    better, worse = judged_against(blurred=-0.5, **others), judged_against(blurred=0.5, **others)
    assert better.label == worse.label == label
    assert "at 2%, 5%, 10%, 20% blurred(sigma=2) do better" in better.caveats
    assert worse.caveats == ()


def test_controls_that_see_the_classifier_run_beside(run, planted, tmp_path):
    result = run("logit_gradient", controls=("random", "untrained", "blurred(of=logit_gradient, sigma=1)"), seeds=2)
    assert result.controls == ("random", "untrained", "blurred(of=logit_gradient, sigma=1)")
    assert list(result.table["attribution"].unique()) == ["logit_gradient", *result.controls]
    # Masks of untrained and blurred maps, which see images, are among the evaluators'; those of random scores are not.
    assert "rankings of other images (logit_gradient; untrained; blurred(of=logit_gradient, sigma=1))" in result.settings["masks"]
