"""`gradaudit contrast`: prints its table, writes its files, finds neighbours among the training images, refuses what is wrong."""

import json

import pytest
import torch

import gradaudit as ga
from gradaudit.results import read_table

FAST = ("--device", "cpu", "--data-dir", ".")


def test_it_prints_a_table_and_writes_result_table_figure_and_page(cli, trained, images, tmp_path):
    found = cli("contrast", trained, images, "--neighbours", 5, "--controls", "random,edges", *FAST)
    assert found.status == 0, found.err
    assert all(
        word in found.out for word in ("logit_gradient", "magnitudes", "signed", "another image's contrast", "95 % interval")
    )
    result = ga.load_result(tmp_path / "out")
    assert result.controls == ("random", "edges")
    assert f"{result.verdict.label}: " in found.out
    assert read_table(tmp_path / "out" / "contrast.csv")["value"].tolist() == result.table["value"].tolist()
    assert (tmp_path / "out" / "contrast.svg").read_bytes()
    assert "nearest neighbours of other classes" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


def test_it_is_what_python_gives(cli, trained, images):
    found = cli("contrast", trained, images, "--neighbours", 5, "--controls", "none", "--json", "--seed", 3, *FAST)
    train, test = ga.load_images(str(images))
    classifier = ga.load_classifier(trained)
    alone = ga.contrast(classifier, train, test, neighbours=5, controls=(), seed=3, device=torch.device("cpu"))
    assert json.loads(found.out)["table"] == json.loads(json.dumps(alone.to_json()))["table"]
    assert json.loads(found.out)["settings"] == alone.settings


def test_a_dry_run_says_what_it_takes(cli, trained, images):
    found = cli("contrast", trained, images, "--neighbours", 5, "--dry-run", *FAST)
    assert "gradients: about" in found.out, found.err


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--neighbours", "0"), "neighbours"),
        (("--neighbours", "20"), "data"),
        (("--attribution", "no_such", "--neighbours", "5"), "attribution"),
    ],
)
def test_what_is_wrong_is_named(cli, trained, images, options, named):
    found = cli("contrast", trained, images, *options, *FAST)
    assert found.status == 2
    assert f"`{named}`" in found.err
