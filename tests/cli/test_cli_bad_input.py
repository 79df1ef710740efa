"""A user's mistake on the command line: exit status 2, one line that names the argument, nothing fitted."""

import gzip
import os
import pickle
import struct

import numpy as np
import pytest
import torch

import gradaudit as ga

FAST = (
    "--evaluate",
    "retrain",
    "--learner",
    "linear",
    "--epochs",
    1,
    "--seeds",
    2,
    "--levels",
    "0.3",
    "--controls",
    "none",
    "--workers",
    1,
    "--device",
    "cpu",
)


@pytest.fixture(name="refused")
def refused_fixture(cli, tmp_path):
    def refused(argument, words, *arguments):
        found = cli(*arguments)
        assert found.status == 2, found
        assert found.out == ""
        lines = found.err.splitlines()
        assert len(lines) == 1, found.err
        assert lines[0].startswith(f"error: `{argument}` (=")
        assert words in lines[0]
        assert not [one for kind in ("fits", "evaluators", "readings") for one in (tmp_path / "store").glob(f"{kind}/*/*")]

    return refused


@pytest.mark.parametrize(
    ("argument", "words", "options"),
    [
        ("--levels", "numbers or fractions separated by commas", ("--levels", "0.1;0.2")),
        ("levels", "shares between 0 and 1", ("--levels", "0.1,1")),
        ("--levels", "numbers or fractions", ("--levels", "nan")),
        ("levels", "different", ("--levels", "0.1,0.10")),
        ("seeds", "above 0", ("--seeds", "-2")),
        ("seeds", "at least 1", ("--seeds", "0")),
        ("seed", "0 or more", ("--seed", "-1")),
        ("workers", '"auto" or a whole number, 1 or more', ("--workers", "many")),
        ("workers", '"auto" or a whole number, 1 or more', ("--workers", "-3")),
        ("controls", "did you mean 'edges'", ("--controls", "edge")),
        ("attribution", "did you mean 'logit_gradient'", ("--attribution", "logit_gradent")),
        ("attribution", "given options", ("--attribution", "smoothgrad(sample=3)")),
        ("attribution", "readable .npy", ("--scores", "absent.npy", "absent.npy")),
        ("network", "did you mean 'linear'", ("--learner", "lineer")),
        ("epochs", "1 or more", ("--epochs", "0")),
        ("batch_size", "1 or more", ("--batch-size", "0")),
        ("learning_rate", "above 0", ("--learning-rate", "0")),
        ("learning_rate", "finite", ("--learning-rate", "inf")),
        ("device", '"auto", "cpu"', ("--device", "abacus")),
        ("size", "from 1 to 60", ("--train-images", "61")),
        ("size", "from 1 to 30", ("--test-images", "0")),
        ("normalisation", "", ("--normalisation", "mnost")),
        ("fill", "the name of a fill", ("--fill", "grey")),
        ("sigma", "above 0", ("--fill", "blur(sigma=-1)")),
        ("conditional", "without mask_only", ("--no-mask-only", "--conditional")),
        ("selection", 'False with evaluate="retrain"', ("--selection",)),
        ("gap", "0 or more", ("--evaluate", "values", "--gap", "-1")),
        ("evaluator", "did you mean 'linear'", ("--evaluate", "values", "--evaluator", "lineer")),
        ("fine_tune", "did you mean", ("--evaluate", "values", "--evaluator", "classifier", "--fine-tune", "evaluators/fine-tun")),
        ("seeds", "at least 1", ("--evaluate", "values", "--seeds", "0")),
    ],
    ids=lambda value: "=".join(value) if isinstance(value, tuple) else "",
)
def test_bad_options(refused, images, trained, argument, words, options):
    refused(argument, words, "diffroar", trained, images, *FAST, *options)


@pytest.mark.parametrize("option", [("--target", "third"), ("--features", "patches"), ("--seeds", "two"), ("--evaluate", "both")])
def test_values_that_the_parser_refuses(cli, images, trained, option):
    found = cli("diffroar", trained, images, *FAST, *option)
    assert (found.status, found.out) == (2, "")
    assert option[0] in found.err


def test_unknown_names(refused, images, trained):
    refused("classifier", "did you mean 'lenet5'", "diffroar", "lenet", images, *FAST)
    refused("classifier", "a file that exists", "diffroar", "absent.safetensors", images, *FAST)
    refused("name_or_path", "did you mean 'mnist5k'", "diffroar", trained, "mnist5", *FAST)
    refused("network", "did you mean 'lenet5'", "train", images, "--network", "lenet", "--out", "a.safetensors")
    refused("objective", "did you mean 'adversarial'", "train", images, "--objective", "adversrial", "--out", "a.safetensors")
    refused("--out", "ends in .safetensors", "train", images, "--out", "a.pt")
    refused("--shape", "written like 3x32x32", "networks", "--shape", "28")


@pytest.mark.parametrize("option", ["--out", "--store"])
def test_a_folder_that_cannot_be_written(refused, images, trained, tmp_path, option):
    (tmp_path / "file").write_text("not a folder")
    argument = option if option == "--out" else "store"
    refused(argument, "can be written", "diffroar", trained, images, *FAST, option, tmp_path / "file" / "folder")


def test_a_checkpoint_of_another_network(refused, images, tmp_path):
    ga.save_classifier(
        tmp_path / "mlp.safetensors",
        ga.Recipe(network="mlp(width=4)").build((1, 8, 8), 3),
        network="mlp(width=4)",
        input_shape=(1, 8, 8),
        classes=3,
    )
    refused(
        "weights", "a checkpoint of this network", "diffroar", "linear", images, "--weights", tmp_path / "mlp.safetensors", *FAST
    )


def test_a_classifier_of_other_images(refused, images, tmp_path):
    ga.save_classifier(
        tmp_path / "big.safetensors",
        ga.Recipe(network="linear").build((1, 28, 28), 10),
        network="linear",
        input_shape=(1, 28, 28),
        classes=10,
    )
    refused("classifier", "able to take images of shape", "diffroar", tmp_path / "big.safetensors", images, *FAST)


class Dangerous:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_a_pickle_with_code_in_it_does_not_run(refused, images, tmp_path, writer):
    file = tmp_path / "evil.pt"
    if writer == "pickle":
        file.write_bytes(pickle.dumps({"1.weight": Dangerous()}))
    else:
        torch.save({"1.weight": Dangerous()}, file)
    refused("weights", "opt in", "diffroar", "linear", images, "--weights", file, *FAST)
    assert not (tmp_path / "ran").exists()


def test_weights_that_are_not_finite(refused, images, tmp_path):
    network = ga.Recipe(network="linear").build((1, 8, 8), 3)
    torch.save({name: value * float("nan") for name, value in network.state_dict().items()}, tmp_path / "nan.pt")
    refused("weights", "NaN", "diffroar", "linear", images, "--weights", tmp_path / "nan.pt", *FAST)


@pytest.mark.parametrize("packed", [True, False])
def test_a_truncated_idx_file(refused, trained, tmp_path, packed):
    (tmp_path / "data/mnist").mkdir(parents=True)
    for name, dimensions in (("images-idx3", (4, 8, 8)), ("labels-idx1", (4,))):
        data = struct.pack(f">BBBB{len(dimensions)}I", 0, 0, 8, len(dimensions), *dimensions) + bytes(np.prod(dimensions) - 1)
        for part in ("train", "t10k"):
            file = tmp_path / "data/mnist" / (f"{part}-{name}-ubyte" + (".gz" if packed else ""))
            file.write_bytes(gzip.compress(data) if packed else data)
    refused("file", "bytes long", "diffroar", trained, "mnist", "--data-dir", tmp_path / "data", *FAST)


def test_an_npz_that_is_truncated(refused, images, trained):
    images.write_bytes(images.read_bytes()[:200])
    refused("file", "intact .npz", "diffroar", trained, images, *FAST)


def test_scores_with_nan(refused, images, trained, tmp_path):
    files = []
    for name, part in zip(("train", "test"), ga.load_images(images), strict=True):
        scores = np.ones(part.images.shape, np.float32)
        scores[5] = np.nan
        np.save(tmp_path / f"{name}.npy", scores)
        files.append(tmp_path / f"{name}.npy")
    refused(
        "attribution", "64 scores are NaN or infinite, the first in image 5", "diffroar", trained, images, *FAST, "--scores", *files
    )
    refused("attribution", "NaN", "diffroar", trained, images, *FAST, "--scores", *files, "--dry-run")


def test_scores_that_are_pickles(refused, images, trained, tmp_path):
    np.save(tmp_path / "evil.npy", np.array([Dangerous()], dtype=object), allow_pickle=True)
    refused(
        "attribution", "readable .npy", "diffroar", trained, images, *FAST, "--scores", tmp_path / "evil.npy", tmp_path / "evil.npy"
    )
    assert not (tmp_path / "ran").exists()


def test_a_loss_that_diverges_names_the_learning_rate(cli, images, trained):
    found = cli("diffroar", trained, images, *FAST, "--learner", "mlp(width=8)", "--learning-rate", "1e30", "--epochs", 3)
    assert found.status == 2
    assert found.err.splitlines()[-1].startswith("error: the loss of epoch")
    assert "learning_rate" in found.err
