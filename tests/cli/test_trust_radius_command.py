"""`gradaudit trust-radius`: prints its tables, writes its files, says what it takes, refuses what is wrong."""

import json

import pytest

import gradaudit as ga
from gradaudit.results import read_table

FAST = ("--device", "cpu", "--data-dir", ".")


def test_it_prints_tables_and_writes_result_figure_and_page(cli, trained, images, tmp_path):
    found = cli("trust-radius", trained, images, "--sigma", "0.01,0.1", "--copies", 8, "--pairs", 1, *FAST)
    assert found.status == 0, found.err
    for words in (
        "Explained by the gradient",
        "Probability of keeping the class",
        "Errors of that probability",
        "taylor",
        "95 % interval",
    ):
        assert words in found.out
    result = ga.load_result(tmp_path / "out")
    assert result.sigmas == (0.01, 0.1)
    assert f"{result.verdict.label}: " in found.out
    assert read_table(tmp_path / "out" / "trust_radius.csv")["explained"].tolist() == result.table["explained"].tolist()
    assert (tmp_path / "out" / "trust_radius.svg").read_bytes()
    assert "How far from an image does its gradient" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


def test_it_is_what_the_function_says(cli, trained, images):
    found = cli("trust-radius", trained, images, "--sigma", "0.1", "--copies", 9, "--classes", 1, "--json", "--seed", 3, *FAST)
    _, test = ga.load_images(str(images))
    alone = ga.trust_radius(ga.load_classifier(trained), test, sigma=0.1, copies=9, classes=1, seed=3, device="cpu")
    assert json.loads(found.out)["table"] == json.loads(json.dumps(alone.to_json()))["table"]
    assert json.loads(found.out)["settings"] == alone.settings


def test_a_dry_run_says_what_it_takes(cli, trained, images):
    found = cli("trust-radius", trained, images, "--dry-run", *FAST)
    assert "images forward: about" in found.out, found.err


@pytest.mark.parametrize(
    ("options", "named"), [(("--sigma", "0,0.1"), "sigma"), (("--copies", "4"), "copies"), (("--pairs", "0"), "pairs")]
)
def test_what_is_wrong_is_named(cli, trained, images, options, named):
    found = cli("trust-radius", trained, images, *options, *FAST)
    assert found.status == 2
    assert f"`{named}`" in found.err
