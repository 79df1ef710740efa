"""`gradaudit leakage`: prints a table, writes its files, and refuses what is wrong."""

import json

import numpy as np
import pytest

import gradaudit as ga
from gradaudit.instruments.leakage import mask_from_boxes
from gradaudit.results import read_table

FAST = ("--device", "cpu", "--data-dir", ".")


@pytest.fixture(name="masked")
def masked_fixture(images, tmp_path):
    """The same images with masks of their own."""
    arrays = dict(np.load(images))
    halves = {f"{half}_signal_mask": np.zeros((len(arrays[f"{half}_labels"]), 8, 8), bool) for half in ("train", "test")}
    for mask in halves.values():
        mask[:, :4] = True
    np.savez(tmp_path / "masked.npz", **arrays, **halves)
    return tmp_path / "masked.npz"


def test_it_prints_a_table_and_writes_result_table_figure_and_page(cli, trained, masked, tmp_path):
    found = cli(
        "leakage", trained, masked, "--attribution", "logit_gradient", "--attribution", "edges", "--controls", "random", *FAST
    )
    assert found.status == 0, found.err
    assert all(word in found.out for word in ("logit_gradient", "null_top_0.1", "auroc", "95 % interval", "chance"))
    result = ga.load_result(tmp_path / "out")
    assert result.audited == ("logit_gradient", "edges")
    assert result.controls == ("random",)
    assert f"{result.verdict.label}: " in found.out
    assert read_table(tmp_path / "out" / "leakage.csv")["value"].tolist() == result.table["value"].tolist()
    assert (tmp_path / "out" / "leakage.svg").read_bytes()
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "stay on the signal" in page
    assert "gradaudit leakage" in page
    assert page.count('class="outline"') == 8 * 3


def test_controls_may_have_options_and_see_the_classifier(cli, trained, masked, tmp_path):
    controls = "edges, blurred(of='smoothgrad(samples=2, noise=0.1)', sigma=1),untrained"
    found = cli("leakage", trained, masked, "--controls", controls, "--attribution", "blurred(of=logit_gradient, sigma=1)", *FAST)
    assert found.status == 0, found.err
    result = ga.load_result(tmp_path / "out")
    assert result.controls == ("edges", "blurred(of='smoothgrad(samples=2, noise=0.1)', sigma=1)", "untrained")
    assert result.audited == ("blurred",)
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "there before training" in page
    assert "under a blur" in page


def test_json_is_the_result_and_nothing_else(cli, trained, masked, tmp_path):
    found = cli("leakage", trained, masked, "--top", "0.3", "--features", "pixels", "--json", "--out", "other", *FAST)
    assert json.loads(found.out) == json.loads((tmp_path / "other" / "results.json").read_text(encoding="utf-8"))
    result = ga.load_result(tmp_path / "other")
    assert result.settings["top"] == [0.3]
    assert result.settings["features"] == "pixels"


@pytest.mark.parametrize("form", ["npy", "npz", "named", "boxes"])
def test_masks_from_a_file_keep_to_their_images(form, cli, trained, images, tmp_path):
    boxes = np.array([[place % 4, 1, place % 4 + 3, 6] for place in range(30)])
    masks = mask_from_boxes(boxes, (8, 8)).numpy()
    file = tmp_path / ("masks.npy" if form in ("npy", "boxes") else "masks.npz")
    if form == "npz":
        np.savez(file, masks)
    elif form == "named":
        np.savez(file, signal_mask=masks, other=np.zeros(3))
    else:
        np.save(file, boxes if form == "boxes" else masks)
    found = cli("leakage", trained, images, "--masks", file, "--test-images", 12, "--controls", "none", *FAST)
    assert found.status == 0, found.err
    _, test = ga.load_images(images)
    expected = ga.ImageSet(test.images, test.labels, test.classes, masks).sample(12, 0)
    assert ga.load_result(tmp_path / "out").settings["images_fingerprint"] == expected.fingerprint


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "blocks(of=mnist5k)"),
        (("--masks", "nowhere.npy"), "`--masks`"),
        (("--masks", "images.npz"), "one named signal_mask"),
        (("--masks", "short.npy"), "`signal_mask`"),
        (("--masks", "boxes.npy"), "`boxes`"),
        (("--masks", "pickled.npy"), "`--masks`"),
        (("--masks", "good.npy", "--top", "a"), "`--top`"),
        (("--masks", "good.npy", "--top", "0.1,2"), "`top`"),
        (("--masks", "good.npy", "--attribution", "gradient"), "`attribution`"),
        (("--masks", "good.npy", "--controls", "nothing"), "`controls`"),
        (("--masks", "good.npy", "--test-images", "31"), "`size`"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(cli, trained, images, tmp_path, options, words):
    good = np.zeros((30, 8, 8), bool)
    good[:, :4] = True
    np.save(tmp_path / "good.npy", good)
    np.save(tmp_path / "short.npy", good[:9])
    np.save(tmp_path / "boxes.npy", np.array([[0, 0, 9, 3]] * 30))
    np.save(tmp_path / "pickled.npy", np.array([{}]), allow_pickle=True)
    found = cli("leakage", trained, images, *options, *FAST)
    assert (found.status, found.out) == (2, "")
    assert words in found.err
    assert found.err.count("\n") == 1


def test_scores_of_all_test_images_do_not_go_with_some_of_them(cli, trained, masked, tmp_path):
    np.save(tmp_path / "scores.npy", np.zeros((10, 1, 8, 8), np.float32))
    found = cli("leakage", trained, masked, "--attribution", tmp_path / "scores.npy", "--test-images", 10, *FAST)
    assert found.status == 2
    assert "--test-images" in found.err
    assert "scores.npy" in found.err


def test_help_names_every_option(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    found = cli("leakage", "--help")
    words = ("--attribution", "--top", "--masks", "--controls", "--features", "--target", "--test-images", "--out", "--json")
    assert [word for word in words if word not in found.out] == []
