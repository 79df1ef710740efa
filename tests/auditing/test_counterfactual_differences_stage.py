"""Counterfactual differences fed through DiffROAR, as a part of the audit."""

import re

import pandas as pd
import pytest

import gradaudit as ga
from gradaudit.auditing.stages import STAGES
from gradaudit.errors import InputError
from gradaudit.instruments.counterfactual import counterfactual_differences
from gradaudit.instruments.diffroar import CounterfactualDifferencesResult

NAME = "counterfactual_differences"


@pytest.fixture(name="prepared")
def prepared_fixture(arguments, tmp_path):
    """An audit of nothing but the stage."""

    def prepare(options=None, **changes):
        given = dict.fromkeys(STAGES, False) | {NAME: arguments["options"][NAME] | (options or {})}
        given |= {name: arguments["options"][name] for name in ("train_images", "test_images")}
        mlp = {"mlp": arguments["classifiers"]["mlp"]}
        return ga.prepare_audit(**arguments | {"classifiers": mlp, "options": given, "store": tmp_path, "recipes": {}} | changes)

    return prepare


def test_it_is_diffroar_of_the_differences_beside_the_gradient(audited, arguments, tmp_path):
    result = audited[0].results["mlp"][NAME]
    options = arguments["options"]
    halves = [
        arguments[part].sample(options[f"{part}_images"], 0).sample(options[NAME][f"{part}_images"], 0)
        for part in ("train", "test")
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
        seeds=3,
        controls=[],
        workers=1,
        device="cpu",
        store=tmp_path,
    )
    pd.testing.assert_frame_equal(result.table, alone.table)
    assert result.verdict.label == alone.verdict.label
    counts = ga.counterfactual(mlp, halves[1], "second", method="apgd(steps=2)", device="cpu", store=tmp_path / "c").table
    left = (counts["confidence_after"] > 0).mean() * result.settings["counterfactuals"]["left_their_class"]
    assert counts["flipped"].mean() <= left <= 1


def test_what_a_reader_must_know_stands_before_the_rest(audited):
    result = audited[0].results["mlp"][NAME]
    said = result.verdict.caveats
    assert "apgd(steps=2)" in said[0]
    assert "tell the label before a pixel is seen" in said[0]
    assert "90 training images" in said[1]
    assert any("of the counterfactuals left their class" in one for one in said) == (
        result.settings["counterfactuals"]["left_their_class"] < 0.95
    )
    assert result.verdicts["counterfactual differences"].caveats == said
    assert said[0] not in result.verdicts["logit_gradient"].caveats


def test_it_is_saved_loaded_and_on_the_page(audited, tmp_path):
    page = audited[0].write(tmp_path / "report").read_text()
    loaded = ga.load_result(tmp_path / "report" / "mlp" / NAME)
    assert isinstance(loaded, CounterfactualDifferencesResult)
    assert loaded.to_json() == audited[0].results["mlp"][NAME].to_json()
    section = page[page.index(f'<section id="{NAME}"') :]
    assert "apgd(steps=2), 90 training and 30 test images" in section[: section.index("</section>")]
    assert page.index('<section id="diffroar"') < page.index(f'<section id="{NAME}"') < page.index('<section id="leakage"')
    assert "mlp, counterfactual differences" in page
    assert "mlp, logit_gradient" in page


def test_the_agreement_has_it_beside_diffroar(audited):
    scores = audited[0].scores
    found = scores[(scores["instrument"] == NAME) & (scores["classifier"] == "mlp")]
    assert [*found["measure"]] == [
        "DiffROAR of counterfactual differences, mean over levels",
        "DiffROAR of counterfactual differences given the mask, bits",
    ]
    rows = audited[0].results["mlp"][NAME].summary
    rows = rows[rows["attribution"] == "counterfactual differences"]
    assert found["value"].iloc[0] == pytest.approx(rows["mean"].mean())


def test_the_estimate_counts_walks_and_networks(prepared, mixture):
    rankings, seeds = 2, 3
    (row,) = prepared().estimate().to_dict("records")
    assert row["gradients"] == (90 + 30) * 2
    assert row["networks"] == seeds + seeds * rankings * 6
    guided = {"method": "dvce(steps=10, views=1, guidance=none)"}
    (row,) = prepared(guided).estimate().to_dict("records")
    assert row["denoised"] == (90 + 30) * 10 // 2


def test_a_denoiser_that_is_not_there_is_the_reason(prepared):
    ready = prepared({"method": "dvce(steps=2)"}, denoiser=None)
    assert "needs a denoiser" in ready.skipped["mlp"][NAME]
    assert "svce would do" in ready.skipped["mlp"][NAME]
    assert NAME not in prepared(denoiser=None).skipped["mlp"]


def test_too_few_training_images_are_the_reason(prepared):
    reason = prepared({"train_images": 20}).skipped["mlp"][NAME]
    assert re.search(r"only \d of the training images drawn for it", reason)


def test_a_generative_method_walks_through_the_denoiser(prepared, mixture):
    options = {"method": "dvce(steps=4, views=1, guidance=none)", "train_images": 90, "test_images": 10, "mask_only": False}
    result = prepared(options).run().results["mlp"][NAME]
    assert result.settings["counterfactuals"]["method"].startswith("dvce")
    assert result.conditional_verdicts == {}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"method": ["svce", "apgd"]}, "method"),
        ({"method": "svc"}, "method"),
        ({"train_images": 1}, "train_images"),
        ({"test_images": "ten"}, "test_images"),
        ({"levels": [2]}, "levels"),
        ({"target": "first"}, "target"),
        ({"targets": "second"}, "targets"),
    ],
)
def test_bad_options_are_named_before_any_work(prepared, options, named):
    with pytest.raises(InputError, match=named):
        prepared(options).estimate()
