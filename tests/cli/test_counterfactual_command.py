"""`gradaudit counterfactual`: writes images, table, gallery, animation and page, and refuses what is wrong."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import gradaudit as ga

FAST = ("--device", "cpu", "--data-dir", ".", "--method", "apgd(steps=3)")


@pytest.fixture(name="other")
def other_fixture(cli, images, tmp_path):
    """Another classifier's file."""
    file = tmp_path / "other.safetensors"
    found = cli("train", images, "--out", file, "--network", "linear", "--epochs", 2, "--device", "cpu")
    assert found.status == 0, found.err
    return file


def test_it_writes_images_table_gallery_animation_and_page(cli, trained, other, images, tmp_path):
    options = ("--images", 5, "--oracle", f"other={other}", "--seeds", 2, "--method", "svce(steps=3)")
    found = cli("counterfactual", trained, images, *options, *FAST)
    assert found.status == 0, found.err
    out = tmp_path / "out"
    result = ga.load_result(out)
    assert all(word in found.out for word in ("flip_rate", "agreed_other", "svce(steps=3)", "apgd(steps=3)", result.verdict.label))
    assert len(result.table) == 2 * 5 * 2
    assert pd.read_csv(out / "counterfactual.csv")["l1"].tolist() == pytest.approx(result.table["l1"].tolist())
    assert len(list((out / "images").glob("*_to_*.png"))) == 20
    assert (out / "counterfactual_gallery.svg").stat().st_size > 1000
    with Image.open(out / "animation.webp") as film:
        assert film.is_animated
    page = (out / "index.html").read_text(encoding="utf-8")
    assert 'class="blend"' in page
    assert "What would change the mind of" in page


def test_another_classifier_is_held_to_its_class(cli, trained, other, images, tmp_path):
    options = ("--images", 5, "--against", other, "--device", "cpu", "--method", "svce(steps=5)")
    found = cli("counterfactual", trained, images, *options)
    assert found.status == 0, found.err
    assert "disagree_rate" in found.out
    result = ga.load_result(tmp_path / "out")
    seen = ga.load_classifier(other)(result.images.float() / 255).argmax(dim=1)
    assert [result.settings["classes"][one] for one in seen] == result.table["other"].tolist()
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "Against another classifier." in page
    assert "the two disagree" in page
    assert "the other: still" in page
    planned = cli("counterfactual", trained, images, *options, "--dry-run")
    assert f"{2 * 5 * (5 + 1)} gradients" in planned.out


def test_json_is_the_result_and_nothing_else(cli, trained, images, tmp_path):
    found = cli("counterfactual", trained, images, "--images", 2, "--json", "--out", "there", *FAST)
    assert json.loads(found.out) == json.loads((tmp_path / "there" / "results.json").read_text(encoding="utf-8"))


def test_a_dry_run_counts_a_step_of_each_image_target_and_seed(cli, trained, images, tmp_path):
    found = cli("counterfactual", trained, images, "--images", 5, "--target", "all", "--seeds", 2, "--dry-run", *FAST)
    assert found.status == 0, found.err
    assert f"{5 * 2 * 2 * (3 + 1)} gradients" in found.out
    assert not (tmp_path / "out").exists()


def test_pairs_and_classes_choose_the_images_that_they_fit(cli, trained, images):
    _, test = ga.load_images(images)
    seen = ga.load_classifier(trained)(test.floats()).argmax(dim=1)
    source = int(seen.mode().values)
    wanted = (source + 1) % 3
    names = test.classes
    found = cli("counterfactual", trained, images, "--target", f"{names[source]}={names[wanted]}", "--images", 4, "--json", *FAST)
    table = json.loads(found.out)["table"]
    assert set(table["source"]["values"]) == {names[source]}
    assert set(table["target"]["values"]) == {names[wanted]}
    assert len(table["image"]["values"]) == min(4, int((seen == source).sum()))
    found = cli("counterfactual", trained, images, "--target", names[wanted], "--json", *FAST)
    assert set(json.loads(found.out)["table"]["target"]["values"]) == {names[wanted]}


def test_a_folder_of_images_whole(cli, trained, tmp_path):
    rng = np.random.default_rng(1)
    for label in ("0", "1", "2"):
        (tmp_path / "mine" / label).mkdir(parents=True)
        for place in range(2):
            Image.fromarray(rng.integers(0, 255, (8, 8), np.uint8)).save(tmp_path / "mine" / label / f"{place}.png")
    options = ("--split", "both", "--images", 100, "--json", "--out", "o")
    found = cli("counterfactual", trained, "./mine(size=8, channels=1, cache=cache)", *options, *FAST)
    assert found.status == 0, found.err
    assert len(json.loads(found.out)["table"]["image"]["values"]) == 6


def test_a_method_of_ones_own_is_named_as_it_was_written(cli, trained, images, tmp_path):
    imported = "from gradaudit.instruments.counterfactual import Solution\n"
    (tmp_path / "own_methods.py").write_text(f"{imported}def to_white(problem):\n    return Solution(problem.images * 0 + 1)\n")
    found = cli("counterfactual", trained, images, "--method", "own_methods:to_white", "--images", 2, *FAST)
    assert found.status == 0, found.err
    assert "own_methods:to_white" in found.out


def test_what_only_the_audit_asks_has_no_command(cli):
    found = cli("counterfactual-differences")
    assert (found.status, found.out) == (2, "")
    assert "No such command" in found.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--target", "7"), "`--target`"),
        (("--target", "0=0"), "`--target`"),
        (("--target", "0=1,0=2"), "`--target`"),
        (("--oracle", "zoo:mnist"), "NAME=CLASSIFIER"),
        (("--method", "apdg"), "did you mean 'apgd'"),
        (("--method", "dvce"), "load_denoiser gives one"),
        (("--denoiser", "zoo:nothing"), "zoo:nothing"),
        (("--images", "0"), "`images`"),
        (("--seeds", "0"), "`seeds`"),
        (("--oracle", "self=classifier.safetensors"), "no judge of itself"),
        (("--test-images", "3"), "--test-images"),
        (("--against", "classifier.safetensors"), "can't disagree with itself"),
        (("--against", "zoo:mnist/robust"), "`against`"),
        (("--against", "nothing.safetensors"), "nothing.safetensors"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(cli, trained, images, options, words):
    found = cli("counterfactual", trained, images, *options, *FAST)
    assert (found.status, found.out) == (2, "")
    assert words in found.err
    assert found.err.count("\n") == 1


def test_help_names_every_option(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    found = cli("counterfactual", "--help")
    words = ("--denoiser", "--robust", "--oracle", "--method", "--target", "--images", "--split", "--seeds", "--store", "--json")
    assert [word for word in (*words, "--against") if word not in found.out] == []
