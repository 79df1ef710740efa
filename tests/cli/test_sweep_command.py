"""`gradaudit sweep`: prints tables and the verdict, writes its files, and refuses what is wrong."""

import json
from pathlib import Path

import pandas as pd
import pytest

import gradaudit as ga
from gradaudit.training import named

DENOISER = """import torch
from gradaudit.diffusion import Denoiser

def denoiser():
    return Denoiser(lambda noisy, sigma, labels: noisy.clamp(0.2, 0.8), shape=(1, 8, 8), classes=3)
"""
FAST = ("--epochs", 1, "--sigma", "0.1", "--radius", "0.5,1", "--samples", 2, "--eps", "0.2", "--device", "cpu", "--workers", 1)


@pytest.fixture(name="sweep")
def sweep_fixture(cli, images, tmp_path, monkeypatch):
    """Run the command with a denoiser of the user's own and a recipe of a small network."""
    Path(tmp_path / "sweep_denoiser.py").write_text(DENOISER, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(named._all(), "tiny/linear", {"network": "linear", "about": "For this test."})
    shared = (
        "--denoiser",
        "sweep_denoiser:denoiser",
        "--tangents",
        "neighbours(neighbours=8, dimensions=3)",
        "--recipe",
        "tiny/linear",
    )
    return lambda *options: cli("sweep", images, *shared, *FAST, *options)


def test_it_prints_tables_and_writes_result_table_figures_and_page(sweep, tmp_path):
    found = sweep("--family", "noise=0.1,0.5,2", "--family", "adversarial(norm=linf, steps=2)=0.05")
    assert found.status == 0, found.err
    result = ga.load_result(tmp_path / "out")
    assert result.settings["families"] == {"noise": [0.1, 0.5, 2.0], "adversarial(norm=linf, steps=2)": [0.05]}
    assert result.classifiers[-1].family == "adversarial(norm=linf, steps=2)"
    assert result.settings["base"]["network"] == "linear"
    for words in ("Sweep", "regime", "Largest alignment", "rank correlation", result.verdict.label):
        assert words in found.out
    assert pd.read_csv(tmp_path / "out" / "sweep.csv")["value"].tolist() == pytest.approx(
        result.table["value"].tolist(), nan_ok=True
    )
    assert all((tmp_path / "out" / name).stat().st_size for name in ("sweep.svg", "map.svg"))
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "gradaudit sweep" in page
    assert all(f"{row['strength']:g}" in page and row["regime"] in page for row in result.regimes.to_dict("records"))


def test_json_is_the_result_and_nothing_else(sweep, tmp_path):
    found = sweep("--family", "noise=0.5", "--json", "--out", "other")
    assert json.loads(found.out) == json.loads((tmp_path / "other" / "results.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--family", "noise=much"), "`--family`"),
        (("--family", "noise=1", "--family", "noise=2"), "`--family`"),
        (("--family", "nois"), "did you mean 'noise'"),
        (("--family", "noise=2,1"), "families['noise']"),
        (("--family", "trades"), "given its strengths"),
        (("--family", "noise=1", "--eps", "0,1"), "`eps`"),
        (("--family", "noise=1", "--eps", "8", "--norm", "linf"), "Was 8/255 (=0.03137) meant?"),
        (("--family", "adversarial(norm=linf)=8"), "Was 8/255 (=0.03137) meant?"),
        (("--family", "noise=1", "--eps", "8/255,x"), "`--eps`"),
        (("--family", "noise=1", "--sigma", "no"), "`--sigma`"),
        (("--family", "noise=1", "--tangents", "tea"), "`--tangents`"),
        (("--family", "noise=1", "--tangents", "neighbours(seed=1)"), "`--tangents`"),
        (("--family", "adversarial", "--norm", "linf"), "given its strengths"),
        (("--family", "noise=1", "--recipe", "tiny/line"), "`recipe`"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(sweep, options, words):
    found = sweep(*options)
    assert (found.status, found.out) == (2, "")
    assert words in found.err
    assert found.err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "words"), [(("--eps", "0,1"), "`eps`"), (("--sigma", "no"), "`--sigma`"), (("--workers", "0"), "`workers`")]
)
def test_a_mistake_is_found_before_tangent_spaces_are_made(sweep, monkeypatch, options, words):
    def never(*arguments, **others):
        raise AssertionError("made before all was checked")

    monkeypatch.setattr("gradaudit.instruments.tangents.tangent_spaces", never)
    found = sweep("--family", "noise=1", *options)
    assert found.status == 2
    assert words in found.err


def test_a_dry_run_counts_what_the_store_lacks_and_makes_nothing(sweep, tmp_path):
    options = ("--family", "noise=0.1,0.5", "--family", "adversarial(steps=2)=0.1", "--dry-run", "--out", "other")
    # 60 images an epoch, thrice and once with two more steps; 4 classifiers, 30 images: PGD, one, and 2 radii x 2 draws at 2/3.
    measured, training = 4 * 30 * (20 * 1 + 1 + 2), 60 * (3 + 3)
    found = sweep(*options)
    assert found.status == 0, found.err
    assert found.out.startswith(f"4 networks to train, {measured + training:,} gradients, 480 denoised images: about ")
    assert not (tmp_path / "other" / "results.json").exists()
    assert sweep("--family", "noise=0.1,0.5").status == 0
    assert sweep(*options).out.startswith(f"1 networks to train, {measured + 180:,} gradients, 480 denoised images: about ")


def test_the_sweeps_own_denoiser_gives_tangent_spaces_as_the_same_one_named(sweep, tmp_path):
    fading = DENOISER.replace("noisy.clamp(0.2, 0.8)", "noisy * torch.linspace(0.1, 1, 64).reshape(8, 8)")
    (tmp_path / "fading_denoiser.py").write_text(fading, encoding="utf-8")
    given = ("--family", "noise=0.5", "--denoiser", "fading_denoiser:denoiser")
    for name, out in (("", "own"), ('"fading_denoiser:denoiser", ', "named")):
        found = sweep(*given, "--tangents", f"denoiser({name}sigma=0.2, dimensions=2)", "--out", out)
        assert found.status == 0, found.err
    own, named = (ga.load_result(tmp_path / out) for out in ("own", "named"))
    assert own.settings["tangent_spaces"] == named.settings["tangent_spaces"]
    assert own.table.equals(named.table)
