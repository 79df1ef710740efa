"""The toys on the command line: by name, with options, listed and described."""

import json

import pytest

import gradaudit as ga

TOY = "toy(strength=2)"


@pytest.fixture(name="classifier", scope="module")
def classifier_fixture(toys, tmp_path_factory):
    """A classifier's file, of the toy network on the toy data."""
    train, _ = ga.load_images("toy")
    recipe = ga.Recipe(network=TOY, epochs=1)
    file = tmp_path_factory.mktemp("classifier") / "toy.safetensors"
    ga.save_trained(file, ga.train(recipe, train, device="cpu"), recipe, train)
    return file


@pytest.fixture(name="printed")
def printed_fixture(cli):
    """A function that runs a command and reads the JSON that it prints."""
    return lambda *arguments: json.loads(cli(*arguments, "--json"))


def test_train(printed, tmp_path):
    options = [word for option in ("--network", "--objective", "--optimizer") for word in (option, TOY)]
    found = printed("train", TOY, *options, "--epochs", 1, "--device", "cpu", "--out", "made.safetensors")
    assert [found["recipe"][field] for field in ("network", "objective", "optimizer")] == [TOY] * 3
    assert ga.load_classifier(tmp_path / "made.safetensors").strength == 2


def test_train_denoiser(cli, tmp_path):
    cli(
        "train-denoiser",
        "toy",
        "--recipe",
        "mnist",
        "--network",
        TOY,
        "--epochs",
        1,
        "--device",
        "cpu",
        "--out",
        "made.safetensors",
    )
    assert ga.load_denoiser(tmp_path / "made.safetensors").denoise.network.strength == 2


def test_diffroar(classifier, printed):
    small = ("--levels", 0.5, "--seeds", 2, "--gap", 0, "--workers", 1, "--epochs", 1, "--device", "cpu")
    chosen = ("--attribution", TOY, "--fill", TOY, "--evaluator", TOY, "--controls", "random", "--backend", TOY)
    found = printed("diffroar", classifier, TOY, *chosen, *small)
    assert found["settings"]["attributions"] == [TOY]
    assert found["settings"]["fill"] == TOY
    assert found["settings"]["evaluator"]["network"] == TOY
    assert found["verdict"]["sentence"]


def test_diffroar_by_retraining(classifier, printed, toy_of):
    small = ("--levels", 0.5, "--seeds", 1, "--workers", 1, "--epochs", 1, "--device", "cpu", "--no-mask-only")
    chosen = ("--attribution", TOY, "--fill", TOY, "--learner", TOY, "--controls", "none", "--backend", TOY)
    found = printed("diffroar", classifier, TOY, "--evaluate", "retrain", *chosen, *small)
    assert found["settings"]["learner"]["network"] == TOY
    assert {*toy_of("backends").Toy.ran} == {2}


def test_mask_recovery(classifier, printed):
    small = ("--seeds", 1, "--epochs", 1, "--workers", 1, "--device", "cpu")
    found = printed("mask-recovery", classifier, "toy", "--fills", f"zero,{TOY}", "--attribution", TOY, "--learner", TOY, *small)
    assert {"zero", TOY} <= {*found["table"]["fill"]["values"]}


def test_leakage(classifier, printed):
    found = printed("leakage", classifier, "toy", "--attribution", TOY, "--controls", "none", "--device", "cpu")
    assert {*found["table"]["attribution"]["values"]} == {TOY}


def test_blocks(classifier, printed):
    data = 'blocks(of=toy, layout=(1, 2), null="toy(strength=2)")'
    assert printed("data", data)["train"]["shape"] == [1, 8, 16]


def test_robustness(classifier, printed):
    found = printed("robustness", classifier, "toy", "--attack", TOY, "--eps", "0,0.1", "--device", "cpu")
    assert TOY in found["table"]["attack"]["values"]


def test_alignment(classifier, printed):
    options = [word for option in ("--gradient", "--score", "--similarity") for word in (option, TOY)]
    found = printed("alignment", classifier, "toy", "--denoiser", "toy:anywhere(strength=2)", *options, "--device", "cpu")
    assert [found["settings"][name] for name in ("gradients", "scores", "similarities")] == [[TOY]] * 3


def test_counterfactual(classifier, printed):
    options = ("--denoiser", "toy:anywhere", "--method", TOY, "--method", f"dvce(steps=4, guidance=none, sampler={TOY!r})")
    found = printed("counterfactual", classifier, "toy", *options, "--images", 4, "--device", "cpu")
    assert found["settings"]["methods"][0] == TOY
    assert found["table"]["toy"]["values"] == [1.0] * 8  # the measure


def test_sweep(printed):
    options = ("--denoiser", "toy:anywhere", "--family", "toy=0.5,1", "--similarity", TOY, "--epochs", 1, "--eps", 0.5)
    found = printed(
        "sweep", "toy", "--tangents", "neighbours(neighbours=8, dimensions=2)", *options, "--workers", 1, "--device", "cpu"
    )
    assert found["settings"]["families"] == {"toy": [0.5, 1.0]}


def test_one_kind_is_listed(toys, printed, cli):
    for kind, registry in toys.items():
        assert printed("names", kind)["toy"] == registry.summary("toy") != ""
        assert "strength=1" in cli("names", kind)


def test_all_kinds_are_listed(toys, printed, cli):
    found = printed("names")
    assert {kind for kind, names in found.items() if "toy" in names} == {*toys}
    assert {kind: sorted(names) for kind, names in found.items()} == {kind: [*one.names()] for kind, one in toys.items()}
    assert cli("names").count("toy") == len(toys)


@pytest.mark.parametrize(
    "command", ["objectives", "attributions", "fills", "attacks", "gradients", "scores", "similarities", "methods"]
)
def test_a_command_of_its_own_lists_what_names_does(toys, printed, command):
    assert printed(command) == printed("names", command)
    assert "toy" in printed(command)


def test_networks_and_data_are_described(toys, printed):
    (network,) = (row for row in printed("networks", "--shape", "1x8x8", "--classes", 2) if row["name"] == "toy")
    assert network["parameters"] == 2 * 65
    assert network["options"] == {"strength": 1}
    assert printed("data")["toy"].startswith("A toy data set")
    assert printed("data", TOY)["train"]["classes"] == ["dark", "bright"]
