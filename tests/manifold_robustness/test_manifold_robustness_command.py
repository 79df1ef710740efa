"""`gradaudit manifold-robustness`: prints a table, writes its files, and refuses what is wrong."""

import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import gradaudit as ga
from gradaudit.cli._instruments import command as command_of
from gradaudit.diffusion.autoencoder import Autoencoder, save_autoencoder
from gradaudit.instruments.contract import about
from gradaudit.results import read_table
from gradaudit.training import save_trained

FAST = ("--samples", "2", "--device", "cpu")


@pytest.fixture(name="here", scope="module")
def here_fixture(tmp_path_factory):
    """A folder with small images, a classifier and an autoencoder."""
    folder = tmp_path_factory.mktemp("here")
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    pixels = rng.integers(0, 200, (90, 8, 8), dtype=np.uint8)
    halves = {"train_images": pixels[:60], "train_labels": labels[:60]}
    np.savez(folder / "images.npz", **halves, test_images=pixels[60:], test_labels=labels[60:])
    train, _ = ga.load_images(folder / "images.npz")
    recipe = ga.Recipe(network="linear", epochs=1)
    save_trained(folder / "classifier.safetensors", ga.train(recipe, train, device="cpu"), recipe, train)
    save_autoencoder(folder / "autoencoder.safetensors", Autoencoder((1, 8, 8), latent=5, width=4))
    return folder


@pytest.fixture(name="command")
def command_fixture(here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    app.command()(command_of(about("manifold_robustness")))

    def run(*options):
        return CliRunner().invoke(app, [str(here / "classifier.safetensors"), str(here / "images.npz"), *FAST, *map(str, options)])

    return run


@pytest.mark.parametrize("tangents", ["autoencoder.safetensors", "neighbours(neighbours=20, dimensions=5)"])
def test_it_prints_a_table_and_writes_result_table_figure_and_page(command, here, tmp_path, tangents):
    given = str(here / tangents) if tangents.endswith("safetensors") else tangents
    found = command("--tangents", given, "--radius", "0.1,0.5")
    assert found.exit_code == 0, found.exception
    result = ga.Result.load(tmp_path / "out")
    assert result.settings["radius"] == [0.1, 0.5]
    assert result.settings["tangents"] == given
    assert result.details["dimensions"] == 5
    assert result.verdict.label in found.stdout
    assert f"{result.ratio(0.5).value:.3f}" in found.stdout
    written = read_table(tmp_path / "out" / "manifold_robustness.csv")
    assert written["change"].tolist() == result.table["change"].tolist()
    assert (tmp_path / "out" / "manifold_robustness.svg").read_bytes()
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "Does the output change less" in page


def test_json_is_the_result_and_nothing_else(command, tmp_path):
    found = command("--tangents", "neighbours(dimensions=3)", "--test-images", 9, "--out", "other", "--json")
    assert found.exit_code == 0, found.exception
    assert json.loads(found.stdout) == json.loads((tmp_path / "other" / "results.json").read_text(encoding="utf-8"))


def test_the_same_spaces_as_a_tensor_give_the_same_changes(command, here, tmp_path):
    from gradaudit.diffusion.autoencoder import load_autoencoder
    from gradaudit.diffusion.tangents import tangent_spaces
    from gradaudit.instruments.manifold_robustness import manifold_robustness as measure

    assert command("--tangents", here / "autoencoder.safetensors").exit_code == 0
    _, test = ga.load_images(here / "images.npz")
    spaces = tangent_spaces(test, load_autoencoder(here / "autoencoder.safetensors"), device="cpu")
    expected = measure(ga.load_classifier(here / "classifier.safetensors"), test, spaces, samples=2, device="cpu")
    assert ga.Result.load(tmp_path / "out").per_image() == pytest.approx(expected.per_image(), abs=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--tangents", "nothing"), "`--tangents`"),
        (("--tangents", "none.safetensors"), "`path`"),
        (("--tangents", "denoiser"), "`--tangents`"),
        (("--tangents", "neighbours(20)"), "`--tangents`"),
        (("--tangents", "neighbours(neighbours=99)"), "`neighbours`"),
        (("--tangents", "neighbours(sigma=1)"), "sigma"),
        (("--radius", "far"), "`--radius`"),
        (("--radius", "0.5,0.1"), "`radius`"),
        (("--samples", "0"), "`samples`"),
    ],
)
def test_a_mistake_names_its_option(command, tmp_path, options, words):
    found = command(*options)
    assert isinstance(found.exception, ga.InputError)
    assert words in str(found.exception)
    assert not found.stdout
    assert not (tmp_path / "out").exists()
