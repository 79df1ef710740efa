"""`gradaudit alignment`: prints a table, writes its files, and refuses what is wrong."""

import json

import pytest

import gradaudit as ga
from gradaudit.results import read_table

FAST = ("--device", "cpu", "--data-dir", ".")
DENOISER = """
from gradaudit.diffusion import Denoiser


def towards(noisy, sigma, labels):
    grey = 0.1 if labels is None else (0.1 + 0.1 * labels.to(noisy))[:, None, None, None]
    return noisy + (grey - noisy) * (sigma / (0.2 + sigma))[:, None, None, None]


plain = Denoiser(towards, shape=(1, 8, 8))
classes = Denoiser(towards, shape=(1, 8, 8), classes=3)
"""


@pytest.fixture(name="denoiser")
def denoiser_fixture(tmp_path, request):
    name = f"denoiser_of_{request.node.name.partition('[')[0]}"  # modules of one name would be imported once
    (tmp_path / f"{name}.py").write_text(DENOISER)
    return name


def test_it_prints_a_table_and_writes_result_table_figure_and_page(cli, trained, images, tmp_path, denoiser):
    options = (
        "--sigma",
        "0.1,0.25",
        "--gradient",
        "logit",
        "--gradient",
        "log_probability",
        "--score",
        "bayes",
        "--noise",
        "matched",
    )
    found = cli(
        "alignment", trained, images, "--denoiser", f"{denoiser}:classes", "--similarity", "rank_correlation", *options, *FAST
    )
    assert found.status == 0, found.err
    assert all(
        word in found.out for word in ("log_probability", "bayes", "0.25", "rank_correlation", "control: random", "95 % interval")
    )
    result = ga.load_result(tmp_path / "out")
    assert result.settings["sigma"] == [0.1, 0.25]
    assert result.settings["noise"] == "matched"
    assert result.verdict.label in found.out
    assert read_table(tmp_path / "out" / "alignment.csv")["value"].tolist() == result.table["value"].tolist()
    assert (tmp_path / "out" / "alignment.svg").read_bytes()
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "point along the data manifold?" in page
    assert "gradaudit alignment" in page


def test_json_is_the_result_and_nothing_else(cli, trained, images, tmp_path, denoiser):
    options = (
        "--denoiser",
        f"{denoiser}:plain",
        "--score",
        "auto",
        "--target",
        "predicted",
        "--test-images",
        9,
        "--json",
        "--out",
        "other",
    )
    found = cli("alignment", trained, images, *options, *FAST)
    assert json.loads(found.out) == json.loads((tmp_path / "other" / "results.json").read_text(encoding="utf-8"))
    settings = json.loads(found.out)["settings"]
    assert (settings["scores"], settings["target"], settings["images"]) == (["unconditional"], "predicted", 9)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--denoiser", "DENOISER:classes", "--sigma", "some"), "`--sigma`"),
        (("--denoiser", "DENOISER:classes", "--sigma", "0.5,0.1"), "`sigma`"),
        (("--denoiser", "DENOISER:classes", "--similarity", "cosinus"), "did you mean 'cosine'"),
        (("--denoiser", "DENOISER:classes", "--gradient", "logits"), "did you mean 'logit'"),
        (("--denoiser", "DENOISER:plain", "--score", "bayes"), "this denoiser knows no classes"),
        (("--denoiser", "nowhere.safetensors"), "nowhere.safetensors"),
        ((), "--denoiser"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(cli, trained, images, denoiser, options, words):
    found = cli("alignment", trained, images, *(str(one).replace("DENOISER", denoiser) for one in options), *FAST)
    assert (found.status, found.out) == (2, "")
    assert words in found.err
    assert found.err.count("\n") == 1


def test_help_names_every_option(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    found = cli("alignment", "--help")
    words = ("--denoiser", "--sigma", "--similarity", "--gradient", "--score", "--noise", "--target", "--test-images", "--json")
    assert [word for word in words if word not in found.out] == []
