"""`gradaudit mask-recovery`: prints a table, writes its files, and refuses what is wrong."""

import json

import pytest

import gradaudit as ga
from gradaudit.options import SpecList
from gradaudit.results import read_table

FAST = ("--device", "cpu", "--data-dir", ".", "--workers", "1", "--epochs", "1", "--learner", "linear", "--sides", "top")


def test_it_prints_a_table_and_writes_result_table_figure_and_page(cli, trained, images, tmp_path):
    found = cli("mask-recovery", trained, images, "--fills", "zero, blur(sigma=1)", "--levels", "0.25", *FAST)
    assert found.status == 0, found.err
    assert all(word in found.out for word in ("blur(sigma=1)", "auroc", "share", "95 % interval", "if hidden"))
    result = ga.load_result(tmp_path / "out")
    assert result.fills == ("zero", "blur(sigma=1)")
    assert all(f"{name} {verdict.label}: " in found.out for name, verdict in result.verdicts.items())
    assert read_table(tmp_path / "out" / "mask_recovery.csv")["value"].tolist() == result.table["value"].tolist()
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "How much of the mask can be seen" in page
    assert "gradaudit mask-recovery" in page


def test_json_is_the_result_and_nothing_else(cli, trained, images, tmp_path):
    found = cli("mask-recovery", trained, images, "--fills", "mean", "--target", "predicted", "--seeds", "1", "--json", *FAST)
    assert json.loads(found.out) == json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert ga.load_result(tmp_path / "out").settings["target"] == "predicted"


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--fills", "nothing"), "`fill`"),
        (("--levels", "2"), "`levels`"),
        (("--sides", "left"), "`sides`"),
        (("--epochs", "0"), "`epochs`"),
    ],
)
def test_what_is_wrong_is_one_line(cli, trained, images, options, word):
    found = cli("mask-recovery", trained, images, *FAST, *options)
    assert found.status == 2
    assert found.err.count("\n") == 1
    assert word in found.err


def test_commas_inside_brackets_belong_to_a_fill():
    text = "zero,generative(denoiser='zoo:mnist', steps=4), blur"
    assert SpecList().read("--fills", text) == ["zero", "generative(denoiser='zoo:mnist', steps=4)", "blur"]


def test_a_dry_run_counts_the_networks_that_the_store_lacks(cli, trained, images, tmp_path):
    command = ("mask-recovery", trained, images, "--fills", "zero, imputation", "--levels", "0.25", *FAST)
    found = cli(*command, "--dry-run")
    assert found.status == 0, found.err
    # Two seeds of a recoverer and a learner for either fill, and of a learner of the true mask; every image is ranked.
    assert found.out.startswith("10 networks to train, 90 gradients: about ")
    assert not list((tmp_path / "store").rglob("*.json"))
    assert cli(*command).status == 0
    assert cli(*command, "--dry-run").out.startswith("nothing that the store does not have")
