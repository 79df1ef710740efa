"""Training on real images: determinism, robustness, precision, and the file that gives a classifier back."""

import numpy as np
import pytest
import torch

from gradaudit.classifiers import classifier_metadata, load_classifier
from gradaudit.datasets import load_images
from gradaudit.errors import InputError
from gradaudit.training import Recipe, measure_accuracy, pgd, save_trained, train

RECIPE = Recipe(network="mlp(width=64)", precision="fp32", epochs=4)
ROBUST = RECIPE.with_(objective="adversarial(norm=l2, eps=1.5, steps=5)", epochs=12)


@pytest.fixture(scope="module")
def images():
    training, testing = load_images("mnist5k")
    return training.sample(2000, seed=0), testing.sample(500, seed=0)


@pytest.fixture(scope="module")
def standard(images):
    return train(RECIPE, images[0], device="cpu")


def outputs(classifier, images):
    with torch.no_grad():
        return classifier(images.floats())


def test_training_twice_gives_the_same_classifier_and_leaves_the_random_state(images, standard):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    again = train(RECIPE, images[0], device="cpu")
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(a, b) for a, b in zip(again.state_dict().values(), standard.state_dict().values(), strict=True))
    assert not again.training
    other = train(RECIPE.with_(seed=1), images[0], device="cpu")
    assert not torch.equal(outputs(other, images[1]), outputs(standard, images[1]))


def test_the_accuracy_is_numpys_and_leaves_the_modes(images, standard):
    testing = images[1]
    expected = float(np.mean(outputs(standard, testing).numpy().argmax(1) == testing.labels.numpy()))
    standard.train()
    assert measure_accuracy(standard, testing, device="cpu") == expected
    assert all(module.training for module in standard.modules())
    standard.eval()
    assert expected > 0.85


def test_half_precision_learns_as_well(images, standard):
    half = train(RECIPE.with_(precision="bf16"), images[0], device="cpu")
    assert all(parameter.dtype == torch.float32 for parameter in half.parameters())
    difference = measure_accuracy(half, images[1], device="cpu") - measure_accuracy(standard, images[1], device="cpu")
    assert abs(difference) <= 0.02


def test_adversarial_training_makes_a_classifier_that_withstands_the_attack(images, standard):
    robust = train(ROBUST, images[0], device="cpu")
    floats, labels = images[1].floats(), images[1].labels

    def withstands(classifier):
        attacked = pgd(classifier, floats, labels, norm="l2", eps=1.5, steps=10, random_start=False)
        return float((outputs_of(classifier, attacked) == labels).float().mean())

    def outputs_of(classifier, batch):
        with torch.no_grad():
            return classifier(batch).argmax(dim=1)

    assert withstands(robust) > withstands(standard) + 0.1
    assert measure_accuracy(robust, images[1], device="cpu") > 0.8


def test_a_saved_classifier_comes_back_with_all_that_made_it(images, standard, tmp_path):
    training, testing = images
    recipe = RECIPE.with_(normalisation="mnist", epochs=1)
    classifier = train(recipe, training, device="cpu")
    path = save_trained(tmp_path / "mlp.safetensors", classifier, recipe, training, accuracy=0.5)
    loaded = load_classifier(path)
    assert torch.equal(outputs(loaded, testing), outputs(classifier, testing))
    assert not loaded.training
    metadata = classifier_metadata(path)["metadata"]
    assert Recipe(**metadata["recipe"]) == recipe
    assert metadata["data_fingerprint"] == training.fingerprint
    assert metadata["accuracy"] == 0.5
    assert metadata["class_names"] == list(training.classes)
    assert {"torch", "gradaudit", "python"} <= metadata["versions"].keys()


def test_a_classifier_is_not_saved_under_another_recipe(images, standard, tmp_path):
    with pytest.raises(InputError, match="`network`"):
        save_trained(tmp_path / "a.safetensors", standard, RECIPE.with_(network="mlp(width=65)"), images[0])
    with pytest.raises(InputError, match=r"`path` .* ends in \.safetensors"):
        save_trained(tmp_path / "a.pt", standard, RECIPE, images[0])
    assert list(tmp_path.iterdir()) == []


def test_bad_input_is_named_before_training(images):
    with pytest.raises(InputError, match="`device`"):
        train(RECIPE, images[0], device="gpu")
    with pytest.raises(InputError, match="normalisation"):
        train(RECIPE.with_(normalisation="cifar10"), images[0])
    with pytest.raises(InputError, match="`device`"):
        measure_accuracy(RECIPE.build((1, 28, 28), 10), images[1], device="gpu")


def test_progress_is_on_standard_error_and_only_where_asked_for(images, capsys, monkeypatch):
    ticks = iter(range(0, 10_000, 30))
    monkeypatch.setattr("gradaudit.progress.time.monotonic", lambda: next(ticks))
    few = images[0][:100]
    train(RECIPE.with_(epochs=2), few, device="cpu")
    assert capsys.readouterr() == ("", "")
    train(RECIPE.with_(epochs=2), few, device="cpu", show_progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("training mlp(width=64), standard: 1/2, 30 s spent, 30 s left, loss ")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_on_a_gpu_is_as_good(images, standard):
    classifier = train(RECIPE, images[0], device="cuda")
    assert next(classifier.parameters()).is_cuda
    assert abs(measure_accuracy(classifier, images[1]) - measure_accuracy(standard, images[1], device="cpu")) < 0.03
