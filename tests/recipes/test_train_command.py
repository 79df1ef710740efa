"""`gradaudit train` with a recipe, its curves and its checkpoint; `gradaudit recipes`."""

import json

import numpy as np
import pytest

from gradaudit.classifiers import classifier_metadata
from gradaudit.cli import main
from gradaudit.training import Recipe, named_recipe, recipe_summaries


@pytest.fixture(name="run")
def run_fixture(tmp_path, monkeypatch, capsys, small):
    """Run a command beside `images.npz`; its exit status, standard output and standard error."""
    half = {"images": small.images.numpy(), "labels": small.labels.numpy()}
    np.savez(tmp_path / "images.npz", **{f"{part}_{name}": value for part in ("train", "test") for name, value in half.items()})
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        try:
            main([str(argument) for argument in arguments])
            status = 0
        except SystemExit as ended:
            status = ended.code or 0
        return status, *capsys.readouterr()

    return run


def made(file):
    return classifier_metadata(file)["metadata"]


OPTIONS = ("--device", "cpu", "--network", "mlp(width=8)", "--json")


def test_a_recipe_by_name_and_what_overrides_it(run, tmp_path):
    changed = ("--objective", "noise(std=0.1)", "--epochs", 2, "--batch-size", 30, "--optimizer", "adamw", "--learning-rate", 0.01)
    more = ("--weight-decay", 0, "--ramp", 0.25, "--augment", "flip", "--ema", 0.5, "--precision", "fp32", "--seed", 3)
    status, out, err = run("train", "images.npz", "--recipe", "mnist/l2-2", "--out", "a.safetensors", *OPTIONS, *changed, *more)
    assert status == 0, err
    expected = named_recipe(
        "mnist/l2-2",
        network="mlp(width=8)",
        objective="noise(std=0.1)",
        epochs=2,
        batch_size=30,
        optimizer="adamw",
        learning_rate=0.01,
        weight_decay=0,
        ramp=0.25,
        augment="flip",
        ema=0.5,
        precision="fp32",
        seed=3,
    )
    assert Recipe(**json.loads(out)["recipe"]) == expected
    assert Recipe(**made("a.safetensors")["recipe"]) == expected


def test_what_is_not_overridden_is_the_recipes(run):
    status, out, err = run("train", "images.npz", "--recipe", "mnist/l2-2", "--out", "a.safetensors", *OPTIONS, "--epochs", 1)
    assert status == 0, err
    assert Recipe(**json.loads(out)["recipe"]) == named_recipe("mnist/l2-2", network="mlp(width=8)", epochs=1)


def test_curves_are_drawn_beside_the_file_or_where_asked_and_no_checkpoint_stays(run, tmp_path):
    status, out, err = run("train", "images.npz", "--out", "a.safetensors", *OPTIONS, "--epochs", 2)
    assert status == 0, err
    assert {path.name for path in tmp_path.iterdir()} == {"images.npz", "a.safetensors", "a.svg"}
    assert json.loads(out)["curves"] == "a.svg"
    assert [epoch["number"] for epoch in made("a.safetensors")["epochs"]] == [1, 2]
    assert made("a.safetensors")["epochs"][-1]["accuracy"] == made("a.safetensors")["accuracy"] == json.loads(out)["accuracy"]
    run("train", "images.npz", "--out", "a.safetensors", *OPTIONS, "--epochs", 1, "--curves", "b.png")
    assert (tmp_path / "b.png").exists()


def test_a_stopped_training_goes_on_with_the_same_command(run, tmp_path, monkeypatch):
    command = ("train", "images.npz", "--out", "a.safetensors", *OPTIONS, "--epochs", 3)
    assert run(*command)[0] == 0
    expected = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.safetensors").unlink()
    from gradaudit.training import trained

    whole, told = trained.Checkpoint.save, []

    def stop(self, state):
        whole(self, state)
        told.append(len(state["epochs"]))
        if len(told) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(trained.Checkpoint, "save", stop)
    status, _, err = run(*command)
    assert status == 130
    assert not (tmp_path / "a.safetensors").exists()
    assert (tmp_path / "a.checkpoint").exists()
    status, _, err = run(*command[:-1], 4)
    assert status == 2
    assert "`checkpoint`" in err
    assert "`epochs` is 3, here 4" in err
    assert run(*command)[0] == 0
    assert told == [1, 2, 3]
    assert (tmp_path / "a.safetensors").read_bytes() == expected
    assert not (tmp_path / "a.checkpoint").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--recipe", "mnist/l3"), "`recipe` (='mnist/l3') must be the name of a recipe"),
        (("--curves", "a.jpg"), "`--curves` (='a.jpg') must be a file that ends in .svg"),
        (("--ramp", "0.5"), "`ramp` (=0.5) must be 0 for the objective standard"),
        (("--augment", "rotate"), "`augment`"),
        (("--optimizer", "lion"), "`optimizer`"),
    ],
)
def test_bad_options_are_one_line_and_nothing_is_written(run, tmp_path, options, words):
    status, out, err = run("train", "images.npz", "--out", "a.safetensors", *OPTIONS, *options)
    assert status == 2
    assert words in err
    assert out == ""
    assert {path.name for path in tmp_path.iterdir()} == {"images.npz"}


def test_recipes_are_listed_and_shown(run):
    assert json.loads(run("recipes", "--json")[1]) == recipe_summaries()
    shown = run("recipes")[1]
    assert all(name in shown for name in recipe_summaries())
    assert json.loads(run("recipes", "mnist/linf-0.3", "--json")[1]) == named_recipe("mnist/linf-0.3").model_dump()
    assert "adversarial(eps=0.3" in run("recipes", "mnist/linf-0.3")[1]
    assert run("recipes", "mnist/nothing")[0] == 2
