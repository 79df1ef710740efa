"""The commands: what they print, what they write, and that they teach."""

import json
import os
import re
import subprocess
import sys
from importlib import metadata

import numpy as np
import pandas as pd
import pytest
import torch

import gradaudit as ga
from gradaudit.training import named_recipe

SMALL = ("--levels", "0.1,0.3", "--workers", 1, "--device", "cpu")
FAST = ("--evaluate", "retrain", "--learner", "linear", "--epochs", 1, "--seeds", 2, *SMALL)
READ = ("--evaluator", "mlp(width=8)", *SMALL)


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ((), ("gradaudit demo", "diffroar", "train", "data", "networks", "attributions", "objectives")),
        (("demo",), ("--out", "--seed", "--workers", "--json", "index.html")),
        (
            ("train",),
            ("data", "--out", "--network", "--objective", "--epochs", "--seed", "--device", "--json", "Example: gradaudit train"),
        ),
        (
            ("diffroar",),
            (
                *(
                    "classifier",
                    "data",
                    "--attribution",
                    "--scores",
                    "--evaluate",
                    "--evaluator",
                    "--fine-tune",
                    "--gap",
                    "--selection",
                    "--learner",
                    "--levels",
                    "--seeds",
                    "--controls",
                    "--features",
                ),
                *(
                    "--target",
                    "--fill",
                    "--mask-only",
                    "--conditional",
                    "--dry-run",
                    "--workers",
                    "--store",
                    "--json",
                    "Example: gradaudit diffroar",
                ),
            ),
        ),
        (("data",), ("name", "--data-dir", "--json")),
        (("networks",), ("--shape", "--classes", "--json")),
        (("attributions",), ("--json",)),
        (("objectives",), ("--json",)),
    ],
    ids=lambda value: " ".join(value[:1]),
)
def test_help_names_every_argument(cli, monkeypatch, command, words):
    monkeypatch.setenv("COLUMNS", "200")
    found = cli(*command, "--help")
    assert found.status == 0
    text = " ".join(plain(found.out).split())
    assert [word for word in words if word not in text] == []


def test_without_a_command_it_says_how_to_begin(cli):
    found = cli()
    assert "gradaudit demo" in plain(found.out + found.err)


def test_the_version(cli):
    assert cli("--version")[:2] == (0, f"gradaudit {ga.__version__}\n")
    assert ga.__version__ == metadata.version("gradaudit")
    done = subprocess.run([sys.executable, "-m", "gradaudit", "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"gradaudit {ga.__version__}\n", "")


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("data", ("mnist5k", "cifar10", "fashion-mnist")),
        ("attributions", ("logit_gradient", "smoothgrad", "blurred_random")),
        ("objectives", ("standard", "adversarial")),
    ],
)
def test_listings(cli, command, names):
    shown = cli(command)
    listed = json.loads(cli(command, "--json").out)
    assert set(names) <= set(listed)
    for name, summary in listed.items():
        assert summary
        assert name in shown.out


def test_networks_have_their_size_for_the_image(cli):
    rows = {row["name"]: row for row in json.loads(cli("networks", "--shape", "3x32x32", "--classes", 7, "--json").out)}
    assert rows["linear"]["parameters"] == (3 * 32 * 32 + 1) * 7
    assert rows["mlp"]["options"]["width"] == 512
    shown = cli("networks", "--shape", "1x4x4").out
    assert "(16 + 1)" not in shown
    assert "170" in shown  # linear: 10 classes
    assert "image too small" in shown


def test_a_data_set_is_described(cli, images):
    described = json.loads(cli("data", images, "--json").out)
    train, _ = ga.load_images(images)
    assert described["train"]["fingerprint"] == train.fingerprint
    assert train.fingerprint in cli("data", images).out


def test_train_writes_a_classifier_that_diffroar_takes(cli, images, tmp_path):
    file = tmp_path / "new" / "robust.safetensors"
    objective = "adversarial(eps=0.5, norm=l2, steps=2)"
    options = ("--network", "mlp(width=8)", "--objective", objective, "--epochs", 1, "--seed", 3, "--device", "cpu", "--json")
    facts = json.loads(cli("train", images, "--out", file, *options).out)
    assert facts["recipe"]["objective"] == objective
    train, test = ga.load_images(images)
    assert facts["accuracy"] == ga.measure_accuracy(ga.load_classifier(file), test, device="cpu")
    expected = ga.train(ga.Recipe(network="mlp(width=8)", objective=objective, epochs=1, seed=3), train, device="cpu")
    found = ga.load_classifier(file)(test.floats())
    torch.testing.assert_close(found, expected(test.floats()))
    audited = json.loads(cli("diffroar", file, images, *FAST, "--controls", "none", "--json").out)
    assert audited["settings"]["attributions"] == ["logit_gradient"]


def test_diffroar_is_the_library_call(cli, images, trained, tmp_path):
    options = ("--attribution", "loss_gradient", "--attribution", "smoothgrad(samples=2)", "--controls", "random, edges")
    more = ("--fill", "mean", "--features", "pixels", "--target", "predicted", "--no-mask-only", "--seed", 4)
    found = cli("diffroar", trained, images, *FAST, *options, *more, "--out", tmp_path / "report", "--json")
    assert found.status == 0
    result = ga.diffroar(
        ga.load_classifier(trained),
        *ga.load_images(images, seed=4),
        ["loss_gradient", "smoothgrad(samples=2)"],
        evaluate="retrain",
        learner=ga.Recipe(network="linear", epochs=1),
        levels=(0.1, 0.3),
        seeds=2,
        controls=("random", "edges"),
        fill="mean",
        features="pixels",
        target="predicted",
        mask_only=False,
        seed=4,
        workers=1,
        device="cpu",
        store=tmp_path / "another",
    )
    assert json.loads(found.out) == json.loads(json.dumps(result.to_json()))
    saved = ga.load_result(tmp_path / "report")
    pd.testing.assert_frame_equal(saved.table, result.table)
    page = (tmp_path / "report/index.html").read_text(encoding="utf-8")
    assert result.verdict.label.capitalize() in page
    assert {"results.json", "diffroar.csv", "diffroar.svg", "index.html"} <= set(os.listdir(tmp_path / "report"))


def test_diffroar_prints_the_verdict_of_each_attribution(cli, images, trained):
    options = ("--attribution", "logit_gradient", "--attribution", "loss_gradient", "--controls", "random")
    found = cli("diffroar", trained, images, *FAST, *options)
    assert found.status == 0
    verdicts = ga.load_result("out").verdicts
    text = " ".join(found.out.split())
    given = ga.load_result("out").conditional_verdicts
    for name, verdict in verdicts.items():
        assert f"{name} {verdict.label}: " in text
        assert f"{name}, given the mask, {given[name].label}: " in text
    assert "given mask, bits" in text
    assert "networks to train with 1 worker" in found.err


def test_without_more_words_values_are_read_as_by_the_library(cli, images, trained, tmp_path):
    found = cli("diffroar", trained, images, *READ, "--controls", "random, edges", "--seed", 4, "--json")
    assert found.status == 0, found.err
    result = ga.diffroar(
        ga.load_classifier(trained),
        *ga.load_images(images, seed=4),
        evaluator="mlp(width=8)",
        levels=(0.1, 0.3),
        controls=("random", "edges"),
        seed=4,
        workers=1,
        device="cpu",
        store=tmp_path / "another",
    )
    assert json.loads(found.out) == json.loads(json.dumps(result.to_json()))
    assert (result.settings["evaluate"], result.settings["seeds"]) == ("values", [4, 5, 6])
    page = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    assert result.verdict.label.capitalize() in page
    assert "Read from the choice" in page


def test_values_are_printed_with_what_selection_adds(cli, images, trained):
    options = ("--seeds", 2, "--gap", 0, "--controls", "random", "--selection", "--learner", "linear", "--epochs", 1)
    found = cli("diffroar", trained, images, *READ, *options)
    assert found.status == 0, found.err
    result, text = ga.load_result("out"), " ".join(found.out.split())
    for words in ("DiffROAR of values", "values, bits", "top, bits", "selection, top", f"logit_gradient {result.verdict.label}: "):
        assert words in text
    for column in ("values_mean", "values_top_mean", "selection_bottom_mean"):
        assert all(f"{value:+.3f}" in text for value in result.summary[column])
    assert "given the mask" not in text
    assert result.details["gap"] == []


def test_the_audited_classifier_itself_is_made_an_evaluator(cli, images, trained):
    options = ("--evaluator", "classifier", "--fine-tune", "evaluators/fine-tune", "--seeds", 2, "--controls", "none", "--json")
    found = cli("diffroar", trained, images, *SMALL, *options)
    assert found.status == 0, found.err
    said = json.loads(found.out)["settings"]["evaluator"]
    assert said["network"] == type(ga.load_classifier(trained)).__name__
    assert said["epochs"] == named_recipe("evaluators/fine-tune").epochs


def test_a_class_blind_ranking_and_a_fill_by_its_spec(cli, images, trained):
    options = ("--controls", "none", "--target", "all", "--fill", "blur(sigma=1.5)", "--no-conditional", "--json")
    found = cli("diffroar", trained, images, *FAST, *options)
    assert found.status == 0, found.err
    result = ga.load_result("out")
    assert (result.settings["target"], result.settings["fill"]) == ("all", "blur(sigma=1.5)")
    assert (result.conditional_verdicts, result.table["mask_top"].isna().any()) == ({}, False)


@pytest.mark.parametrize("options", [FAST, READ], ids=["retrain", "values"])
def test_the_same_command_trains_nothing_again(cli, images, trained, options):
    command = ("diffroar", trained, images, *options, "--controls", "none")
    first, second = cli(*command, "--json"), cli(*command, "--json")
    assert first.out == second.out
    assert "nothing to train" in " ".join(second.err.split())


@pytest.mark.parametrize(
    ("options", "networks"),
    [
        (FAST, 2 * (1 + 4 * 2 * 6)),  # seeds x (whole + attributions x levels x (sides, masks, both))
        (READ, 3 + 2),  # evaluators, and one beside the first of them for each level that a gap is measured at
        ((*READ, "--gap", 0), 3),
        ((*READ, "--selection"), 3 + 2 + 3 * 4 * 2 * 2),
    ],
    ids=["retrain", "values", "no gap", "selection"],
)
def test_a_dry_run_says_how_many_and_trains_none(cli, images, trained, tmp_path, options, networks):
    found = cli("diffroar", trained, images, *options, "--dry-run")
    assert found.status == 0
    assert found.out.startswith(f"{networks} networks to train with 1 worker: about ")
    assert not [file for kind in ("json", "safetensors") for file in (tmp_path / "store").rglob(f"*.{kind}")]


def test_scores_from_files(cli, images, trained, tmp_path):
    files = []
    for name, part in zip(("train", "test"), ga.load_images(images), strict=True):
        scores = np.random.default_rng(0).standard_normal(part.images.shape).astype(np.float32)
        np.save(tmp_path / f"{name}.npy", scores)
        files.append(tmp_path / f"{name}.npy")
    alone = json.loads(cli("diffroar", trained, images, *FAST, "--controls", "none", "--scores", *files, "--json").out)
    assert alone["settings"]["attributions"] == ["scores"]
    beside = ("--scores", *files, "--attribution", "logit_gradient")
    both = json.loads(cli("diffroar", trained, images, *FAST, "--controls", "none", *beside, "--json").out)
    assert both["settings"]["attributions"] == ["logit_gradient", "scores"]
    values = pd.DataFrame({name: column["values"] for name, column in both["table"].items()})
    ours = values[values["attribution"] == "scores"]["top"].tolist()
    assert ours == alone["table"]["top"]["values"]


OWN = """
import torch
from torch import nn

def build(input_shape, classes):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(input_shape[0] * input_shape[1] * input_shape[2], classes))

def saliency(classifier, images, targets):
    return images * classifier[1].weight[targets].view(images.shape)
"""


def test_everything_of_the_users_own(cli, images, tmp_path):
    (tmp_path / "their_model.py").write_text(OWN)
    options = ("--attribution", "their_model:saliency", "--learner", "their_model:build", "--controls", "none")
    found = cli("diffroar", "their_model:build", images, *FAST[:2], *FAST[4:], *options, "--json")
    assert found.status == 0, found.err
    assert json.loads(found.out)["settings"]["attributions"] == ["their_model:saliency"]
    sys.modules.pop("their_model")


@pytest.mark.parametrize(("options", "place"), [(FAST, "retraining.run_cells"), (READ, "values.run_all")])
def test_an_interruption_says_that_work_is_kept(cli, images, trained, monkeypatch, options, place):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"gradaudit.instruments.diffroar.{place}", interrupted)
    found = cli("diffroar", trained, images, *options, "--controls", "none")
    assert found.status == 130
    assert "the same command continues" in found.err


@pytest.mark.slow
def test_as_a_program_json_is_all_that_it_prints(images, trained, tmp_path):
    """Through the interpreter, with the user's own classifier in the current folder and two workers."""
    (tmp_path / "mine.py").write_text(OWN)
    arguments = ["diffroar", "mine:build", images.name, *map(str, FAST), "--controls", "none", "--workers", "2", "--json"]
    code = "import sys; from gradaudit.cli import main; main(sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["instrument"] == "diffroar"


def test_help_does_not_wait_for_the_libraries_that_compute():
    code = "import sys\nfrom gradaudit.cli import main\ntry:\n    main(['diffroar', '--help'])\nfinally:\n    print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "gradaudit.cli" in loaded
    assert loaded.isdisjoint({"torch", "pandas", "scipy", "matplotlib", "captum"})
