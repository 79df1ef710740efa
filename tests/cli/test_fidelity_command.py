"""`gradaudit fidelity`: prints its tables, writes its files, fills by the training images' statistics, refuses what is wrong."""

import json

import pytest
import torch

import gradaudit as ga
from gradaudit.results import read_table

FAST = ("--device", "cpu", "--data-dir", ".")


def test_it_prints_tables_and_writes_result_tables_figure_and_page(cli, trained, images, tmp_path):
    found = cli("fidelity", trained, images, "--fill", "mean", "--fill", "zero", "--controls", "random,edges", *FAST)
    assert found.status == 0, found.err
    assert all(word in found.out for word in ("logit_gradient", "fidelity", "most_relevant_first", "spearman", "95 % interval"))
    result = ga.load_result(tmp_path / "out")
    assert result.fills == ("mean", "zero")
    assert f"{result.verdict.label}: " in found.out
    assert read_table(tmp_path / "out" / "fidelity.csv")["top"].tolist() == result.table["top"].tolist()
    assert (tmp_path / "out" / "fidelity.svg").read_bytes()
    assert (tmp_path / "out" / "single_patches.csv").read_bytes()
    assert "Does this classifier use the pixels" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


def test_fills_have_the_training_images_statistics(cli, trained, images, tmp_path):
    found = cli("fidelity", trained, images, "--fill", "mean", "--controls", "none", "--patches", 0, "--json", "--seed", 3, *FAST)
    train, test = ga.load_images(str(images))
    alone = ga.fidelity(
        ga.load_classifier(trained), test, fill="mean", reference=train, controls=(), patches=0, seed=3, device=torch.device("cpu")
    )
    assert json.loads(found.out)["table"] == json.loads(json.dumps(alone.to_json()))["table"]
    assert json.loads(found.out)["settings"] == alone.settings


@pytest.mark.filterwarnings("ignore::gradaudit.CompletenessWarning")
def test_maps_that_do_not_add_up_are_named_in_the_terminal(cli, trained, images):
    words = ("fidelity", trained, images, "--fill", "mean", "--controls", "none", "--patches", 0, *FAST)
    found = cli(*words, "--attribution", "captum(GradientShap)")
    assert found.status == 0, found.err
    said = " ".join(found.out.split())
    assert "- but scores of captum(method=GradientShap) do not add up to the logit less that at the baselines" in said
    assert "raise n_samples" in said
    assert "do not add up" not in cli(*words, "--attribution", "captum(DeepLift)").out


def test_a_dry_run_says_what_it_takes(cli, trained, images):
    found = cli("fidelity", trained, images, "--dry-run", *FAST)
    assert "images forward: about" in found.out, found.err


def test_a_fine_tuned_copy_is_foretold_made_once_and_reported(cli, trained, images, tmp_path):
    words = ("fidelity", trained, images, "--fill", "mean", "--fill", "zero", "--controls", "untrained,blurred", *FAST)
    words += ("--finetuned", "evaluators/fine-tune(epochs=1)")
    assert "2 networks to train" in cli(*words, "--dry-run").out
    found = cli(*words)
    assert found.status == 0, found.err
    result = ga.load_result(tmp_path / "out")
    assert result.controls == ("untrained", "blurred")
    assert result.settings["finetuned"]["train_images"] == 60
    assert "asked but a copy" in found.out
    assert "networks to train" not in cli(*words, "--dry-run").out


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--levels", "0.5,1"), "levels"),
        (("--fill", "no_such"), "fill"),
        (("--patches", "1"), "patches"),
        (("--attribution", "no_such"), "attribution"),
        (("--finetuned", "no_such"), "finetuned"),
    ],
)
def test_what_is_wrong_is_named(cli, trained, images, options, named):
    found = cli("fidelity", trained, images, *options, *FAST)
    assert found.status == 2
    assert f"`{named}`" in found.err
