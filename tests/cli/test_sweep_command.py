"""`gradaudit sweep`: prints tables and the verdict, writes its files, and refuses what is wrong."""

import json
from pathlib import Path

import pandas as pd
import pytest
import typer

from gradaudit import cli as package
from gradaudit.cli import sweep as command
from gradaudit.instruments.load import load_result
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
    if command.sweep not in [one.callback for one in package.app.registered_commands]:
        monkeypatch.setattr(package, "app", _with_sweep())
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


def _with_sweep():
    app = typer.Typer(rich_markup_mode="markdown", pretty_exceptions_enable=False)
    app.command()(command.sweep)
    app.command("other")(lambda: None)
    return app


def test_it_prints_tables_and_writes_result_table_figures_and_page(sweep, tmp_path):
    found = sweep("--family", "noise=0.1,0.5,2", "--family", "adversarial(norm=linf, steps=2)=0.05")
    assert found.status == 0, found.err
    result = load_result(tmp_path / "out")
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

    monkeypatch.setattr("gradaudit.diffusion.tangents.tangent_spaces", never)
    found = sweep("--family", "noise=1", *options)
    assert found.status == 2
    assert words in found.err
