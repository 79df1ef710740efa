import json
import math
import re

import numpy as np
import pandas as pd
import pytest

import gradaudit as ga
from gradaudit.answering import Answer, Reading, answers
from gradaudit.auditing.document import check_document, json_schema
from gradaudit.auditing.settings import preset_names
from gradaudit.errors import InputError
from gradaudit.instruments.contract import audited as kinds
from gradaudit.markup.pictures import data_uri, image_pixels, score_pixels


def differences(one, other, where=""):
    """Where two JSON values differ."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [found for key in one for found in differences(one[key], other[key], f"{where}/{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            found for place, pair in enumerate(zip(one, other, strict=True)) for found in differences(*pair, f"{where}/{place}")
        ]
    return [] if one == other else [(where, one, other)]


def without_times(data):
    """The JSON values without what depends on the clock."""
    if isinstance(data, dict):
        return {key: without_times(value) for key, value in data.items() if key not in ("seconds", "timings")}
    if not isinstance(data, list):
        return data
    return [without_times(one) for one in data if not (isinstance(one, dict) and one.get("measure") == "seconds")]


def test_every_instrument_is_there_or_said_to_be_left_out(audited):
    result, _ = audited
    for name in ("bayes", "mlp"):
        assert set(result.results[name]) | set(result.skipped.get(name, {})) == set(kinds())
    assert set(result.results["mlp"]) == set(kinds())
    assert set(result.skipped["bayes"]) == {"leakage"}
    assert "recipe is not known" in result.skipped["bayes"]["leakage"]


def test_results_are_those_of_the_instruments(audited, arguments):
    result, _ = audited
    test = arguments["test"].sample(60, 0).sample(20, 0)
    alone = ga.alignment(
        arguments["classifiers"]["mlp"],
        test,
        arguments["denoiser"],
        score="bayes",
        similarity=["magnitude_cosine", "cosine"],
        device="cpu",
    )
    pd.testing.assert_frame_equal(result.results["mlp"]["alignment"].table, alone.table)


def test_diffroar_is_of_values_and_one_evaluator_reads_for_all(audited):
    result, store = audited
    found = [result.results[name][kind] for name in ("bayes", "mlp") for kind in ("diffroar", "counterfactual_differences")]
    assert [(one.of_values, one.settings["evaluate"]) for one in found] == [(True, "values")] * 4
    seeds, gap_levels = 2, 2
    assert len([*store.glob("evaluators/*/*.safetensors")]) == seeds + gap_levels
    assert not [*store.glob("fits/*/*.json")]
    of_bayes, of_mlp = (result.results[name]["diffroar"] for name in ("bayes", "mlp"))
    assert of_bayes.details["whole_bits"] == of_mlp.details["whole_bits"]
    assert of_bayes.settings["masks"] == of_mlp.settings["masks"]
    assert "logit_gradient, mlp" in of_mlp.settings["masks"][-1]
    random = [one.table[one.table["attribution"] == "random"].reset_index(drop=True) for one in (of_bayes, of_mlp)]
    pd.testing.assert_frame_equal(*random)


def test_diffroar_by_retraining_where_it_is_asked_for(arguments, tmp_path):
    learner = {"network": "mlp(width=8)", "epochs": 1}
    options = {"evaluate": "retrain", "levels": [0.3], "seeds": 2, "controls": [], "learner": learner, "mask_only": False}
    given = dict.fromkeys(kinds(), False) | {"diffroar": options, "train_images": 220, "test_images": 60}
    mlp, halves = arguments["classifiers"]["mlp"], {part: arguments[part] for part in ("train", "test")}
    result = ga.audit({"mlp": mlp}, **halves, preset="quick", options=given, workers=1, device="cpu", store=tmp_path)
    found = result.results["mlp"]["diffroar"]
    drawn = (arguments["train"].sample(220, 0), arguments["test"].sample(60, 0))
    more = options | {"learner": ga.Recipe(**learner)}
    alone = ga.diffroar(mlp, *drawn, **more, workers=1, device="cpu", store=tmp_path / "alone")
    assert not found.of_values
    pd.testing.assert_frame_equal(found.table, alone.table)
    assert found.table["diffroar"].notna().all()
    scores = result.scores
    assert [*scores[scores["instrument"] == "diffroar"]["measure"]] == ["DiffROAR, mean over levels"]


def test_leakage_is_of_a_classifier_of_the_same_recipe_and_says_so(audited):
    found = audited[0].results["mlp"]["leakage"]
    assert found.settings["trained_on"] == "blocks"
    assert "blocks" in found.verdict.caveats[0]
    assert found.settings["shape"] == [1, 16, 8]


def test_a_known_signal_is_used_itself(arguments, tmp_path):
    halves = [ga.blocks(arguments[part], classes=(0, 1)) for part in ("train", "test")]
    classifier = ga.train(ga.Recipe(network="mlp(width=8)", epochs=1), halves[0], device="cpu")
    off = dict.fromkeys(set(kinds()) - {"leakage"}, False)
    result = ga.audit(classifier, *halves, preset="quick", options=off, device="cpu", store=tmp_path)
    assert set(result.results["classifier"]) == {"leakage"}
    assert "trained_on" not in result.results["classifier"]["leakage"].settings
    assert result.skipped["classifier"] == dict.fromkeys(set(kinds()) - {"leakage"}, "switched off")


def test_the_same_call_again_computes_nothing_and_gives_the_same(audited, arguments, monkeypatch):
    result, store = audited

    def refuse(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr("gradaudit.auditing.run._keep", refuse)
    again = ga.audit(**arguments, store=store)
    assert without_times(again.to_json()) == without_times(result.to_json())


def test_a_damaged_entry_is_computed_again(arguments, audited, tmp_path):
    one = {**arguments, "classifiers": {"mlp": arguments["classifiers"]["mlp"]}, "options": {**SKIPPED, "test_images": 60}}
    first = ga.audit(**one, store=tmp_path)
    entry = next((tmp_path / "audits").glob("*/results.json"))
    entry.write_text(entry.read_text()[:100])
    with pytest.warns(UserWarning, match="damaged"):
        again = ga.audit(**one, store=tmp_path)
    assert without_times(again.to_json()) == without_times(first.to_json())


SKIPPED = dict.fromkeys(set(kinds()) - {"robustness"}, False) | {"robustness": {"images": 20, "steps": 2, "eps": [0.0, 0.1]}}


def test_an_audit_that_broke_off_goes_on(arguments, tmp_path, monkeypatch):
    whole = ga.audit(**arguments, store=tmp_path / "whole")
    import gradaudit.auditing.run as run

    keep, kept = run._keep, []

    def interrupted(result, entry):
        if len(kept) == 5:
            raise KeyboardInterrupt
        kept.append(entry)
        keep(result, entry)

    monkeypatch.setattr(run, "_keep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ga.audit(**arguments, store=tmp_path / "broken")
    monkeypatch.setattr(run, "_keep", keep)
    again = ga.audit(**arguments, store=tmp_path / "broken")
    assert len(kept) == 5
    assert differences(without_times(again.to_json()), without_times(whole.to_json())) == []


def test_the_answers_follow_from_the_results_and_begin_all_that_is_shown(audited, written):
    result, _ = audited
    assert {name: one.to_json() for name, one in result.answer.items()} == {
        name: one.to_json() for name, one in answers(result.results, result.settings).items()
    }
    assert set(result.answer) == {"bayes", "mlp"}
    assert repr(result).startswith(f"AuditResult(bayes: {result.answer['bayes'].label}; mlp: {result.answer['mlp'].label}; bayes, ")
    assert result._repr_html_().startswith(f"<p><strong>bayes: {result.answer['bayes'].label}</strong>. ")
    table = pd.read_csv(written / "answers.csv", keep_default_na=False)
    told = [(name, one.label, one.sentence, one.settle) for name, one in result.answer.items()]
    assert [*table.itertuples(index=False, name=None)] == told


def test_answers_that_were_written_are_given_back_and_older_audits_have_them_anew(audited, written, tmp_path):
    result, _ = audited
    data = json.loads((written / "results.json").read_text())
    reading = Reading("diffroar", "bits", "logit_gradient", 0.5, math.nan, math.nan, math.nan, "why not", True)
    kept = Answer("trust for logit_gradient", "it was so then", "nothing", (reading,))
    data["answers"] = {"mlp": kept.to_json()}
    (tmp_path / "results.json").write_text(json.dumps(data))
    assert {name: answer.to_json() for name, answer in ga.load_audit(tmp_path).answer.items()} == data["answers"]
    assert ga.load_audit(tmp_path).to_json()["answers"] == data["answers"]
    del data["answers"]
    (tmp_path / "results.json").write_text(json.dumps(data))
    assert ga.load_audit(tmp_path).to_json() == result.to_json()


def test_a_damaged_answer_is_named(written, tmp_path):
    data = json.loads((written / "results.json").read_text())
    del data["answers"]["mlp"]["settle"]
    (tmp_path / "results.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"answers\.mlp\.settle"):
        ga.load_audit(tmp_path)


def test_cards_show_the_images_that_were_changed_with_maps_and_what_became_of_them(audited, written, tmp_path):
    result, _ = audited
    cards = re.findall(r'<table class="pictures exhibits">.*?</table>', (written / "index.html").read_text(), re.DOTALL)
    pictures = result.pictures[0]
    assert len(pictures.labels) == 8
    loaded = ga.load_audit(written)
    again = re.findall(r'<table class="pictures exhibits">.*?</table>', loaded.write(tmp_path).read_text(), re.DOTALL)
    for name, card, alone in zip(("bayes", "mlp"), cards, again, strict=True):
        changed = result.results[name]["counterfactual"]
        rows = changed.rows(changed.methods[0])
        assert len(rows) == 3
        befores, afters = (
            [data_uri(image_pixels(one[row] / 255)) for row in rows.index] for one in (changed.originals, changed.images)
        )
        maps = [data_uri(score_pixels(one)) for one in pictures.scores[name][:3]]
        shown = re.findall(r'src="([^"]+)"', card)
        assert sorted(shown) == sorted([*befores, *maps, *afters])
        assert dict(zip(shown[::3], shown[2::3], strict=True)) == dict(zip(befores, afters, strict=True))
        assert re.findall(r'src="([^"]+)"', alone) == [one for turn, one in enumerate(shown) if turn % 3 != 1]


def test_what_was_written_is_loaded_again(audited, written):
    result, _ = audited
    loaded = ga.load_audit(written)
    assert loaded.to_json() == result.to_json()
    for name in ("answers.csv", "scores.csv", "rank_correlations.csv", "verdicts.csv", "results.json", "mlp/diffroar/diffroar.csv"):
        assert (written / name).stat().st_size > 0
    assert len([*written.rglob("*.svg")]) >= 11
    text = (written / "index.html").read_text()
    for words in ("bayes", "Do the instruments agree?", "recipe is not known", "counterfactual"):
        assert words in text


def test_the_document_follows_its_schema(audited):
    data = json.loads(json.dumps(audited[0].to_json()))
    check_document(data)
    schema = json_schema()
    assert {*schema["required"], "answers"} == set(data)  # older ones lack them
    assert "answers" not in schema["required"]
    for part, change in (("schema", 2), ("kind", "other"), ("results", []), ("more", 1)):
        with pytest.raises(InputError, match=part):
            check_document(data | {part: change})


def test_the_estimate_counts_what_is_done(arguments, audited, tmp_path):
    ready = ga.prepare_audit(**arguments, store=tmp_path)
    estimate = ready.estimate().set_index(["classifier", "instrument"])
    assert estimate.loc[("mlp", "leakage"), "networks"] == 1
    seeds, gap_levels = 2, 2
    first, second = arguments["classifiers"]
    # The evaluators are the same ones for both classifiers, and for counterfactual differences; they count with the first.
    assert estimate.loc[(first, "diffroar"), "networks"] == seeds + gap_levels
    for others in ((second, "diffroar"), (first, "counterfactual_differences"), (second, "counterfactual_differences")):
        assert estimate.loc[others, "networks"] == 0
    assert estimate.loc[("mlp", "robustness"), "gradients"] == 20 * 2 + 20 * (100 + 1)  # the attack; and the checks
    assert (estimate["seconds"] >= 0).all()
    assert (estimate.loc[["bayes"]].index.get_level_values(1) != "leakage").all()
    done = ga.prepare_audit(**arguments, store=audited[1]).estimate()
    assert done["seconds"].sum() == 0
    assert done["networks"].sum() == 0


def test_the_estimate_counts_networks_that_are_retrained(arguments, tmp_path):
    learner = {"network": "mlp(width=16)", "epochs": 1}
    options = arguments["options"]["diffroar"] | {"evaluate": "retrain", "learner": learner}
    given = dict.fromkeys(kinds(), False) | {"diffroar": options, "train_images": 220, "test_images": 60}
    estimate = ga.prepare_audit(**{**arguments, "options": given, "store": tmp_path}).estimate().set_index("classifier")
    seeds, levels = 2, 2
    own, control = (seeds * levels * 6 for _ in range(2))
    # Networks on whole images and on the control's rankings are the same ones for both, and count with the first.
    first, second = arguments["classifiers"]
    assert estimate.loc[first, "networks"] == seeds + own + control
    assert estimate.loc[second, "networks"] == own


def test_too_few_training_images_are_said(arguments, tmp_path):
    ready = ga.prepare_audit(**{**arguments, "options": {"train_images": 30}}, store=tmp_path)
    assert "8 training images" in ready.skipped["mlp"]["diffroar"]
    assert "neighbours" in ready.skipped["mlp"]["manifold_robustness"]


def test_without_a_denoiser_methods_that_need_none_are_left(arguments, tmp_path):
    changes = {**arguments, "denoiser": None, "options": {"counterfactual": {"method": ["dvce", "apgd(steps=2)"], "images": 2}}}
    ready = ga.prepare_audit(**changes, store=tmp_path)
    assert "denoiser" in ready.skipped["mlp"]["alignment"]
    assert "counterfactual" not in ready.skipped["mlp"]
    guided = ga.prepare_audit(**{**changes, "options": {"counterfactual": {"method": "dvce"}}}, store=tmp_path)
    assert "denoiser" in guided.skipped["mlp"]["counterfactual"]


def test_a_denoiser_of_other_images_is_not_used(arguments, tmp_path):
    other = ga.gaussian_mixture(classes=3, shape=(1, 4, 4)).denoiser()
    ready = ga.prepare_audit(**{**arguments, "denoiser": other}, store=tmp_path)
    assert "(1, 4, 4)" in ready.skipped["mlp"]["alignment"]


def test_presets_are_read_and_name_known_options_alone(arguments, tmp_path):
    assert preset_names() == ("paper", "quick", "standard")
    for preset in preset_names():
        ready = ga.prepare_audit(**{**arguments, "preset": preset, "options": {}}, store=tmp_path)
        quietly = {"region_flips"} if preset == "quick" else set()  # it must be asked for
        assert all(ready.settings.options[name] for name in {*kinds()} - quietly)
        for name in ("diffroar", "counterfactual_differences"):
            assert ready.settings.options[name].get("evaluate") == ("retrain" if preset == "paper" else None)


@pytest.mark.parametrize(
    ("argument", "value", "named"),
    [
        ("classifiers", {}, "classifiers"),
        ("classifiers", {"a": "lenet5"}, "classifiers"),
        ("train", "mnist5k", "train"),
        ("preset", "quik", "preset"),
        ("denoiser", "zoo:mnist", "denoiser"),
        ("oracles", {"a": 1}, "oracles"),
        ("recipes", {"stranger": None}, "recipes"),
        ("seed", -1, "seed"),
        ("options", {"difroar": {}}, "diffroar"),
        ("options", {"diffroar": {"level": [0.1]}}, "levels"),
        ("options", {"diffroar": {"masks": {}}}, "masks"),
        ("options", {"diffroar": 3}, "diffroar"),
        ("options", {"train_images": 0}, "train_images"),
    ],
)
def test_bad_arguments_are_named(arguments, tmp_path, argument, value, named):
    with pytest.raises(InputError, match=named):
        ga.prepare_audit(**{**arguments, argument: value}, store=tmp_path)


def test_two_names_that_share_a_folder_are_refused(arguments, tmp_path):
    mlp = arguments["classifiers"]["mlp"]
    with pytest.raises(InputError, match="folder"):
        ga.prepare_audit(**{**arguments, "classifiers": {"a b": mlp, "a_b": mlp}, "recipes": {}}, store=tmp_path)


def test_scores_have_intervals_around_them(audited):
    scores = audited[0].scores
    assert set(scores["instrument"]) == set(kinds())
    given = scores.dropna(subset=["low"])
    assert len(given) >= 8
    assert np.all((given["low"] <= given["value"] + 1e-9) & (given["value"] <= given["high"] + 1e-9))
