"""What comes with the package is what its files say."""

import pytest
import torch

import gradaudit as ga
from gradaudit.classifiers.saving import classifier_metadata
from gradaudit.zoo import FOLDER, zoo_file, zoo_names

CLASSIFIERS = ("mnist/robust", "mnist/standard")
OF_BLOCKS = ("mnist-blocks/robust", "mnist-blocks/standard")
OF_PHOTOGRAPHS = ("cifar10/penalty", "cifar10/robust", "cifar10/standard")


@pytest.fixture(scope="module")
def digits():
    return ga.load_images("mnist5k")[1]


def test_the_zoo_has_what_the_documents_name():
    assert {*CLASSIFIERS, *OF_BLOCKS, *OF_PHOTOGRAPHS} <= set(zoo_names("classifiers"))
    assert {"mnist", "fashion-mnist", "cifar10"} <= set(zoo_names("denoisers"))
    sizes = {path.relative_to(FOLDER).as_posix(): path.stat().st_size for path in FOLDER.rglob("*.safetensors")}
    assert sum(size for name, size in sizes.items() if name.startswith(("classifiers/mnist", "denoisers/mnist"))) <= 8 * 10**6
    assert max(sizes.values()) <= 10 * 10**6


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_is_as_accurate_as_its_file_says(name, digits):
    said = classifier_metadata(zoo_file("classifier", "classifiers", name))["metadata"]
    assert said["data_fingerprint"]
    assert said["versions"]["torch"]
    assert said["accuracy"] > 0.98
    # 1,000 digits of MNIST's training half, as the package embeds them
    assert ga.measure_accuracy(ga.load_classifier(f"zoo:{name}"), digits, device="cpu") == pytest.approx(said["accuracy"], abs=0.02)


def test_the_robust_classifier_is_the_more_robust_one(digits):
    options = {"norm": "l2", "eps": (1.5,), "steps": 10, "device": "cpu"}
    share = {
        name: ga.robustness(ga.load_classifier(f"zoo:{name}"), digits.sample(60), **options).table["accuracy"].iloc[0]
        for name in CLASSIFIERS
    }
    assert share["mnist/robust"] > share["mnist/standard"] + 0.3


@pytest.mark.parametrize("name", OF_BLOCKS)
def test_a_classifier_of_blocks_leaks_as_much_as_its_file_says(name, digits):
    said = classifier_metadata(zoo_file("classifier", "classifiers", name))["metadata"]
    images = ga.blocks(digits, seed=0).sample(300)
    classifier = ga.load_classifier(f"zoo:{name}")
    assert ga.measure_accuracy(classifier, images, device="cpu") == pytest.approx(said["accuracy"], abs=0.03)
    leaked = ga.leakage(classifier, images, controls=(), device="cpu").rows("null_top_0.1").loc["logit_gradient", "value"]
    assert leaked == pytest.approx(said["leakage"], abs=0.04)


def test_the_robust_classifier_of_blocks_leaks_less():
    said = {name: classifier_metadata(zoo_file("classifier", "classifiers", name))["metadata"]["leakage"] for name in OF_BLOCKS}
    assert said["mnist-blocks/robust"] < 0.1 < 0.3 < said["mnist-blocks/standard"]


def test_the_classifiers_of_cifar10_say_how_robust_they_are():
    penalty, robust, standard = (
        classifier_metadata(zoo_file("classifier", "classifiers", name))["metadata"] for name in OF_PHOTOGRAPHS
    )
    assert len(standard["class_names"]) == 10
    for of_robust in (penalty, robust):
        assert standard["accuracy"] > of_robust["accuracy"] > 0.7
        for measured in ("pgd_l2", "autoattack_l2"):
            assert of_robust[measured]["0.5"] > standard[measured]["0.5"] + 0.3
    assert penalty["recipe"]["objective"].startswith("gradient_penalty")
    for name in OF_PHOTOGRAPHS:
        with torch.no_grad():
            assert ga.load_classifier(f"zoo:{name}")(torch.rand(2, 3, 32, 32)).shape == (2, 10)


def test_the_denoiser_of_cifar10_draws_what_it_is_asked_for():
    denoiser = ga.load_denoiser("zoo:cifar10")
    labels = torch.arange(10).repeat(2)
    drawn = ga.sample(denoiser, 20, labels=labels, guidance=1.5, steps=10, device="cpu")
    with torch.no_grad():
        recognised = (ga.load_classifier("zoo:cifar10/standard")(drawn).argmax(dim=1) == labels).sum()
    assert recognised >= 12
    assert denoiser.description["measured"]["guidance 1.5"]["recognised"] > 0.6


def test_an_unknown_name_is_refused_with_those_that_exist():
    with pytest.raises(ga.InputError, match=r"`classifier` \(='zoo:mnist/brave'\).*zoo:mnist-blocks/robust, .*zoo:mnist/standard"):
        ga.load_classifier("zoo:mnist/brave")
    with pytest.raises(ga.InputError, match="`classifier`"):
        ga.load_classifier("zoo:../classifiers/mnist/robust")
    with pytest.raises(ga.InputError, match="left out"):
        ga.load_classifier("zoo:mnist/robust", "weights.pt")


def test_a_loaded_classifier_gives_logits_for_digits(digits):
    with torch.no_grad():
        assert ga.load_classifier("zoo:mnist/standard")(digits[:3].floats()).shape == (3, 10)


def test_the_denoiser_draws_the_digits_it_is_asked_for():
    denoiser = ga.load_denoiser("zoo:mnist")
    assert denoiser.description["recipe"]["epochs"] == ga.denoiser_recipe("mnist").epochs
    labels = torch.arange(10).repeat(3)
    drawn = ga.sample(denoiser, 30, labels=labels, guidance=1.5, steps=12, device="cpu")
    with torch.no_grad():
        recognised = (ga.load_classifier("zoo:mnist/standard")(drawn).argmax(dim=1) == labels).sum()
    assert recognised >= 27


def test_the_denoiser_denoises_as_well_as_its_file_says(digits):
    denoiser = ga.load_denoiser("zoo:mnist")
    said = {(row["sigma"], row["given"]): row["error"] for row in denoiser.description["measured"]["denoising_error"]}
    found = ga.denoising_error(denoiser, digits.sample(60), sigma=(0.25,), device="cpu")
    for row in found.to_dict("records"):
        assert row["error"] == pytest.approx(said[row["sigma"], row["given"]], rel=0.25)
