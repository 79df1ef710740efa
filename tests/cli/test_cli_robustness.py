"""`gradaudit robustness`: prints a table, writes its files, and refuses what is wrong."""

import json

import pytest

import gradaudit as ga
from gradaudit.results import read_table

FAST = ("--steps", 3, "--device", "cpu", "--data-dir", ".")


def test_it_prints_a_table_and_writes_result_table_figure_and_page(cli, trained, images, tmp_path):
    found = cli("robustness", trained, images, "--eps", "0,2/255,0.1", "--attack", "pgd", "--attack", "gaussian(samples=5)", *FAST)
    assert found.status == 0, found.err
    assert all(word in found.out for word in ("pgd", "gaussian(samples=5)", "linf", "0.007843", "95 % interval"))
    result = ga.load_result(tmp_path / "out")
    assert result.settings["eps"] == [0.0, 2 / 255, 0.1]
    assert result.settings["steps"] == 3
    assert result.verdict.label in found.out
    assert read_table(tmp_path / "out" / "robustness.csv")["accuracy"].tolist() == result.table["accuracy"].tolist()
    assert (tmp_path / "out" / "robustness.svg").read_bytes()
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "How large a perturbation" in page
    assert "gradaudit robustness" in page


def test_json_is_the_result_and_nothing_else(cli, trained, images, tmp_path):
    found = cli("robustness", trained, images, "--norm", "l2", "--eps", "0.5", "--json", "--out", "other", *FAST)
    assert json.loads(found.out) == json.loads((tmp_path / "other" / "results.json").read_text(encoding="utf-8"))


def test_the_first_images_or_a_draw(cli, trained, images, tmp_path):
    _, test = ga.load_images(images)
    for first in ((), ("--first",)):
        assert cli("robustness", trained, images, "--eps", "0.1", "--test-images", 9, *first, *FAST).status == 0
        labels = ga.load_result(tmp_path / "out").details["labels"]
        assert labels == (test[:9] if first else test.sample(9, 0)).labels.tolist()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--eps", "0,much"), "`--eps`"),
        (("--eps", "1/0"), "`--eps`"),
        (("--eps", "0.3,0.1"), "`eps`"),
        (("--attack", "pdg"), "did you mean 'pgd'"),
        (("--restarts", "0"), "`restarts`"),
        (("--first", "--test-images", "0"), "`--test-images`"),
        (("--first", "--test-images", "31"), "`--test-images`"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(cli, trained, images, options, words):
    found = cli("robustness", trained, images, *options, *FAST)
    assert (found.status, found.out) == (2, "")
    assert words in found.err
    assert found.err.count("\n") == 1


def test_help_names_every_option(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    found = cli("robustness", "--help")
    words = (
        "--norm",
        "--eps",
        "--attack",
        "--steps",
        "--step-size",
        "--restarts",
        "--eot",
        "--test-images",
        "--first",
        "--store",
        "--json",
    )
    assert [word for word in words if word not in found.out] == []


def test_a_radius_of_8_asks_for_8_of_255(cli, trained, images):
    found = cli("robustness", trained, images, "--eps", "0.1,8", "--device", "cpu")
    assert found.status == 2
    assert "eps is in pixel values of [0, 1]. Was 8/255 (=0.03137) meant?" in found.err
