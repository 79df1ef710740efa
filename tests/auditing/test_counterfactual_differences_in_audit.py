"""Counterfactual differences fed through DiffROAR, as a part of the audit."""

import re

import pandas as pd
import pytest

import gradaudit as ga
from gradaudit.errors import InputError
from gradaudit.instruments.contract import audited as kinds
from gradaudit.instruments.counterfactual import counterfactual_differences
from gradaudit.instruments.counterfactual_differences import CounterfactualDifferencesResult
from gradaudit.instruments.counterfactual_differences import instrument as instrument_module

NAME = "counterfactual_differences"
RETRAIN = {"evaluate": "retrain", "train_images": 90, "levels": [0.3], "learner": {"network": "mlp(width=8)", "epochs": 1}}


@pytest.fixture(name="prepared")
def prepared_fixture(arguments, tmp_path):
    """An audit of nothing but the instrument."""

    def prepare(options=None, **changes):
        given = dict.fromkeys(kinds(), False) | {NAME: arguments["options"][NAME] | (options or {})}
        given |= {name: arguments["options"][name] for name in ("train_images", "test_images")}
        mlp = {"mlp": arguments["classifiers"]["mlp"]}
        return ga.prepare_audit(**arguments | {"classifiers": mlp, "options": given, "store": tmp_path, "recipes": {}} | changes)

    return prepare


@pytest.fixture(name="asked")
def asked_fixture(monkeypatch):
    """For how many images counterfactuals were asked, by each call."""
    counts, made = [], instrument_module.counterfactual_differences

    def counting(classifier, images, *rest, **options):
        counts.append(len(images))
        return made(classifier, images, *rest, **options)

    monkeypatch.setattr(instrument_module, "counterfactual_differences", counting)
    return counts


def left_their_class(mlp, images, result, store):
    """Whether the share that the result names is as the instrument counts it."""
    counts = ga.counterfactual(mlp, images, "second", method="apgd(steps=2)", device="cpu", store=store).table
    left = (counts["confidence_after"] > 0).mean() * result.settings["counterfactuals"]["left_their_class"]
    return counts["flipped"].mean() <= left <= 1


def test_it_is_diffroar_of_the_differences_beside_the_gradient(audited, arguments, tmp_path):
    """Read by the evaluators of the audit's DiffROAR, which met masks of both classifiers on all of its test images."""
    result = audited[0].results["mlp"][NAME]
    options = arguments["options"]
    train, test = (arguments[part].sample(options[f"{part}_images"], 0) for part in ("train", "test"))
    some = test.sample(options[NAME]["test_images"], 0)
    mlp = arguments["classifiers"]["mlp"]
    how = {
        "evaluator": ga.Recipe(**options[NAME]["evaluator"]),
        "levels": [0.1, 0.4],
        "seeds": 2,
        "controls": [],
        "workers": 1,
        "device": "cpu",
        "store": tmp_path,
    }
    masks = {
        name: ga.prepare_diffroar(one, train, test, **how).own_masks(make=True)["logit_gradient"]
        for name, one in arguments["classifiers"].items()
    }
    scores = counterfactual_differences(mlp, some, method="apgd(steps=2)", device="cpu", store=tmp_path)
    alone = ga.diffroar(mlp, train, some, [{"counterfactual differences": scores}, "logit_gradient"], masks=masks, **how)
    pd.testing.assert_frame_equal(result.table, alone.table)
    assert result.verdict.label == alone.verdict.label
    assert left_their_class(mlp, some, result, tmp_path / "c")


def test_by_retraining_it_is_diffroar_of_fewer_training_images(prepared, asked, arguments, tmp_path):
    ready = prepared(RETRAIN)
    result = ready.run().results["mlp"][NAME]
    assert asked == [30, 90]
    options = arguments["options"]
    halves = [
        arguments[part].sample(options[f"{part}_images"], 0).sample(count, 0) for part, count in (("train", 90), ("test", 30))
    ]
    mlp = arguments["classifiers"]["mlp"]
    scores = tuple(counterfactual_differences(mlp, half, method="apgd(steps=2)", device="cpu", store=tmp_path) for half in halves)
    alone = ga.diffroar(
        mlp,
        *halves,
        [{"counterfactual differences": scores}, "logit_gradient"],
        evaluate="retrain",
        learner=ga.Recipe(network="mlp(width=8)", epochs=1),
        levels=[0.3],
        seeds=2,
        controls=[],
        workers=1,
        device="cpu",
        store=tmp_path / "alone",
    )
    pd.testing.assert_frame_equal(result.table, alone.table)
    assert result.verdict.label == alone.verdict.label
    assert left_their_class(mlp, halves[1], result, tmp_path / "c")
    said = result.verdict.caveats
    assert "apgd(steps=2)" in said[0]
    assert "tell the label before a pixel is seen" in said[0]
    assert "90 training images" in said[1]
    assert_its_share_is_named_where_it_is_low(result)
    assert said[0] not in result.verdicts["logit_gradient"].caveats
    found = ready.run().scores
    assert [*found["measure"]] == [
        "DiffROAR of counterfactual differences, mean over levels",
        "DiffROAR of counterfactual differences given the mask, bits",
    ]
    rows = result.summary[result.summary["attribution"] == "counterfactual differences"]
    assert found["value"].iloc[0] == pytest.approx(rows["mean"].mean())


def assert_its_share_is_named_where_it_is_low(result):
    said = result.verdict.caveats
    assert any("of the counterfactuals left their class" in one for one in said) == (
        result.settings["counterfactuals"]["left_their_class"] < 0.95
    )
    assert result.verdicts["counterfactual differences"].caveats == said


def test_what_a_reader_must_know_is_not_what_only_learners_confess(audited):
    result = audited[0].results["mlp"][NAME]
    assert_its_share_is_named_where_it_is_low(result)
    for words in ("tell the label before a pixel is seen", "learners", "training images"):
        assert not any(words in one for one in result.verdict.caveats)


def test_it_is_saved_loaded_and_on_the_page(audited, written):
    page = (written / "index.html").read_text()
    loaded = ga.load_result(written / "mlp" / NAME)
    assert isinstance(loaded, CounterfactualDifferencesResult)
    assert loaded.to_json() == audited[0].results["mlp"][NAME].to_json()
    section = page[page.index(f'<section id="{NAME}"') :]
    section = section[: section.index("</section>")]
    assert "apgd(steps=2), 30 test images" in section
    assert "reads the values of the pixels and not the choice" in section
    assert page.index('<section id="diffroar"') < page.index(f'<section id="{NAME}"') < page.index('<section id="leakage"')
    assert "mlp, counterfactual differences" in page
    assert "mlp, logit_gradient" in page


def test_the_agreement_has_it_beside_diffroar(audited):
    scores = audited[0].scores
    found = scores[(scores["instrument"] == NAME) & (scores["classifier"] == "mlp")]
    assert [*found["measure"]] == ["DiffROAR of counterfactual differences of values, bits"]
    rows = audited[0].results["mlp"][NAME].summary
    rows = rows[rows["attribution"] == "counterfactual differences"]
    assert found["value"].iloc[0] == pytest.approx(rows["values_mean"].mean())
    beside = scores[(scores["instrument"] == "diffroar") & (scores["classifier"] == "mlp")]
    assert [*beside["measure"]] == ["DiffROAR of values, bits"]


def test_the_estimate_counts_walks_and_networks(prepared):
    seeds, gap_levels = 2, 2
    (row,) = prepared().estimate().to_dict("records")
    assert row["gradients"] == 30 * (1 + 2) + 30 * 2  # where a walk begins and its steps, and two rankings
    assert row["networks"] == seeds + gap_levels
    guided = {"method": "dvce(steps=10, views=1, guidance=none)"}
    (row,) = prepared(guided).estimate().to_dict("records")
    assert row["denoised"] == 30 * 10 // 2


def test_by_retraining_the_estimate_counts_walks_of_training_images(prepared):
    rankings, seeds = 2, 2
    (row,) = prepared(RETRAIN).estimate().to_dict("records")
    assert row["gradients"] == (90 + 30) * (1 + 2) + (90 + 30) * 2  # the walks; two rankings of either set
    assert row["networks"] == seeds + seeds * rankings * 6
    guided = {"method": "dvce(steps=10, views=1, guidance=none)"}
    (row,) = prepared(RETRAIN | guided).estimate().to_dict("records")
    assert row["denoised"] == (90 + 30) * 10 // 2


def test_a_denoiser_that_is_not_there_is_the_reason(prepared):
    ready = prepared({"method": "dvce(steps=2)"}, denoiser=None)
    assert "needs a denoiser" in ready.skipped["mlp"][NAME]
    assert "svce would do" in ready.skipped["mlp"][NAME]
    assert NAME not in prepared(denoiser=None).skipped["mlp"]


def test_too_few_training_images_are_the_reason(prepared, arguments):
    for ready in (prepared(RETRAIN | {"train_images": 20}), prepared(train=arguments["train"][:30])):
        assert re.search(r"only \d+ of the training images drawn for it", ready.skipped["mlp"][NAME])
    assert NAME not in prepared({"train_images": 20}).skipped["mlp"]  # evaluators are trained on all of the audit's


def test_a_generative_method_walks_through_the_denoiser_for_test_images_alone(prepared, asked):
    result = prepared({"method": "dvce(steps=4, views=1, guidance=none)", "test_images": 10}).run().results["mlp"][NAME]
    assert result.settings["counterfactuals"]["method"].startswith("dvce")
    assert (result.of_values, result.conditional_verdicts, asked) == (True, {}, [10])


def test_selection_asks_for_counterfactuals_of_training_images_as_well(prepared, asked):
    options = {"selection": True, "train_images": 90, "learner": {"network": "mlp(width=8)", "epochs": 1}}
    result = prepared(options).run().results["mlp"][NAME]
    assert sorted(asked) == [30, 90]
    assert result.of_values
    assert result.table["selection_top"].notna().all()


def test_without_learners_of_the_mask_nothing_is_said_given_it(prepared):
    result = prepared(RETRAIN | {"test_images": 10, "mask_only": False}).run().results["mlp"][NAME]
    assert (result.of_values, result.conditional_verdicts) == (False, {})


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"method": ["svce", "apgd"]}, "method"),
        ({"method": "svc"}, "method"),
        ({"train_images": 1}, "train_images"),
        (RETRAIN | {"train_images": 1}, "train_images"),
        ({"evaluate": "both"}, "evaluate"),
        ({"test_images": "ten"}, "test_images"),
        ({"levels": [2]}, "levels"),
        ({"target": "first"}, "target"),
        ({"targets": "second"}, "targets"),
    ],
)
def test_bad_options_are_named_before_any_work(prepared, options, named):
    with pytest.raises(InputError, match=named):
        prepared(options).estimate()
