import json

import pytest
import torch
from safetensors.torch import load_file

from gradaudit.cli import INTERRUPTED
from gradaudit.datasets import load_images
from gradaudit.diffusion.autoencoder import load_autoencoder
from gradaudit.training.checkpoint import Checkpoint

WORDS = ("--latent", 6, "--width", 4, "--epochs", 3, "--device", "cpu")


def test_an_autoencoder_is_trained_and_written_with_its_figures(cli, images, tmp_path):
    found = cli("train-autoencoder", images, "--out", "out/a.safetensors", *WORDS, "--seed", 3, "--json")
    assert found.status == 0, found.err
    told, autoencoder = json.loads(found.out), load_autoencoder("out/a.safetensors")
    recipe = autoencoder.description["recipe"]
    assert (autoencoder.latent, autoencoder.width, recipe["epochs"], recipe["seed"]) == (6, 4, 3, 3)
    assert told["recipe"] == recipe
    assert told["loss"] == autoencoder.description["loss"][-1]
    assert autoencoder.description["measured"].items() <= told.items()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.safetensors", "a.svg"]  # no checkpoint is left


def test_the_errors_are_those_of_all_images_held_out(cli, images, monkeypatch):
    monkeypatch.setattr("gradaudit.cli.train_autoencoder.AT_ONCE", 7)
    found = cli("train-autoencoder", images, "--out", "a.safetensors", *WORDS, "--train-images", 33, "--test-images", 12)
    assert found.status == 0, found.err
    autoencoder, (training, testing) = load_autoencoder("a.safetensors"), load_images(images)
    mean, held_out = training.sample(33).floats().mean(dim=0), testing.sample(12).floats()
    with torch.no_grad():
        reconstructed = autoencoder(held_out)
    measured = autoencoder.description["measured"]
    assert measured["test_images"] == 12
    assert measured["reconstruction_error"] == pytest.approx(float((reconstructed - held_out).square().mean()))
    assert measured["mean_image_error"] == pytest.approx(float((mean - held_out).square().mean()))
    shown = f"{measured['reconstruction_error']:.3g}, of the mean image {measured['mean_image_error']:.3g}"
    assert f"12 held-out images: mean squared error a pixel {shown}; pixel values are in [0, 1]" in found.out


def test_an_interrupted_command_goes_on(cli, images, tmp_path, monkeypatch):
    assert cli("train-autoencoder", images, "--out", "straight.safetensors", *WORDS).status == 0
    save = Checkpoint.save

    def interrupted(checkpoint, state):
        save(checkpoint, state)
        if len(state["epochs"]) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", interrupted)
        assert cli("train-autoencoder", images, "--out", "a.safetensors", *WORDS).status == INTERRUPTED
    assert (tmp_path / "a.checkpoint").exists()
    assert not (tmp_path / "a.safetensors").exists()
    other = cli("train-autoencoder", images, "--out", "a.safetensors", *WORDS, "--seed", 1)
    assert (other.status, "`checkpoint`" in other.err) == (2, True)
    assert cli("train-autoencoder", images, "--out", "a.safetensors", *WORDS).status == 0
    resumed, straight = (load_file(tmp_path / name) for name in ("a.safetensors", "straight.safetensors"))
    assert all(torch.equal(resumed[name], straight[name]) for name in straight)
    assert load_autoencoder("a.safetensors").description == load_autoencoder("straight.safetensors").description


@pytest.mark.parametrize(
    ("words", "argument"),
    [
        (("--out", "a.pt"), "--out"),
        (("--out", "a.safetensors", "--latent", "64"), "latent"),
        (("--out", "a.safetensors", "--latent", "6", "--width", "0"), "width"),
        (("--out", "a.safetensors", "--latent", "6", "--epochs", "0"), "epochs"),
        (("--out", "a.safetensors", "--latent", "6", "--device", "abacus"), "device"),
    ],
)
def test_a_bad_option_is_named(cli, images, tmp_path, words, argument):
    found = cli("train-autoencoder", images, *words)
    assert found.status == 2
    assert f"`{argument}`" in found.err
    assert [path.name for path in tmp_path.iterdir()] == ["images.npz"]
