"""`gradaudit region-flips`: prints its tables, writes its files, takes oracles, refuses what is wrong."""

import json

import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.results import read_table

SMALL = ("--device", "cpu", "--data-dir", ".", "--test-images", 6, "--method", "apgd(steps=3)", "--controls", "random")


@pytest.fixture(name="oracle")
def oracle_fixture(trained, tmp_path):
    other = ga.load_classifier(trained)
    for weights in other.parameters():
        nn.init.normal_(weights, std=0.2, generator=torch.Generator().manual_seed(0))
    ga.save_classifier(tmp_path / "other.safetensors", other, network="linear", input_shape=(1, 8, 8), classes=3)
    return tmp_path / "other.safetensors"


def test_it_prints_tables_and_writes_result_tables_figure_and_page(cli, trained, images, tmp_path):
    found = cli("region-flips", trained, images, "--levels", "0.2,0.5", *SMALL)
    assert found.status == 0, found.err
    assert all(word in found.out for word in ("logit_gradient", "flipped", "random", "All of an image", "95 % interval"))
    result = ga.load_result(tmp_path / "out")
    assert f"{result.verdict.label}: " in found.out
    assert "without an independent oracle" in found.out
    assert read_table(tmp_path / "out" / "region_flips.csv")["top"].tolist() == result.table["top"].tolist()
    assert (tmp_path / "out" / "region_flips.svg").read_bytes()
    assert (tmp_path / "out" / "whole.csv").exists()
    assert "Flips by region" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


def test_it_is_what_python_gives(cli, trained, images, oracle):
    found = cli("region-flips", trained, images, "--oracle", f"other={oracle}", "--json", "--seed", 3, *SMALL)
    assert found.status == 0, found.err
    _, test = ga.load_images(str(images))
    alone = ga.region_flips(
        ga.load_classifier(trained),
        test.sample(6, 3),
        {"other": ga.load_classifier(oracle)},
        method="apgd(steps=3)",
        controls=("random",),
        seed=3,
        device="cpu",
    )
    assert json.loads(found.out)["table"] == json.loads(json.dumps(alone.to_json()))["table"]
    assert alone.measures == ("flipped", "confirmed")


def test_a_dry_run_says_what_it_takes(cli, trained, images):
    found = cli("region-flips", trained, images, "--dry-run", *SMALL)
    assert "gradients" in found.out, found.err


@pytest.mark.parametrize(
    ("options", "named"),
    [(("--levels", "1"), "levels"), (("--method", "dvce"), "data"), (("--attribution", "no_such"), "attribution")],
)
def test_what_is_wrong_is_named(cli, trained, images, options, named):
    found = cli("region-flips", trained, images, "--device", "cpu", "--data-dir", ".", *options)
    assert found.status == 2
    assert f"`{named}`" in found.err
