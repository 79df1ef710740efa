"""Bad input through the public API: one clear error that names the argument, before anything is fitted."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import gradaudit as ga

COUNT, TEST_COUNT = 40, 20


@pytest.fixture(name="refused")
def refused_fixture(planted, tmp_path):
    """Call `diffroar` with some arguments changed; it must name the argument and must have fitted nothing."""

    def refused(argument, words, **changed):
        arguments = {
            "classifier": planted.classifier(),
            "train": planted.images(COUNT, 0),
            "test": planted.images(TEST_COUNT, 1),
            "evaluate": "retrain",
            "learner": planted.recipe,
            "levels": (0.2,),
            "seeds": 1,
            "controls": (),
            "workers": 1,
            "device": "cpu",
            "store": tmp_path / "store",
        }
        with pytest.raises(ga.InputError, match=words) as caught:
            ga.diffroar(**(arguments | changed))
        assert caught.value.argument == argument
        assert str(caught.value).startswith(f"`{argument}` (=")
        assert "\n" not in str(caught.value)
        assert not planted.fits(tmp_path / "store")

    return refused


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"levels": (0.0, 0.5)}, "shares between 0 and 1"),
        ({"levels": (1,)}, "shares between 0 and 1"),
        ({"levels": (-1.0,)}, "shares between 0 and 1"),
        ({"levels": (float("nan"),)}, "shares between 0 and 1"),
        ({"levels": (0.1, 0.1)}, "different"),
        ({"levels": ()}, "one or several different finite shares"),
        ({"levels": ("0.1", "0.2")}, "different finite shares"),
        ({"levels": "0.1"}, "different finite shares"),
        ({"levels": 1.5}, "shares between 0 and 1"),
        ({"seeds": 0}, "at least 1"),
        ({"seeds": -1}, "above 0"),
        ({"seeds": [1, 1]}, "different whole numbers"),
        ({"seeds": True}, "number of seeds"),
        ({"seeds": [True, False]}, "whole numbers"),
        ({"seeds": 2.5}, "number of seeds"),
        ({"seeds": []}, "number of seeds"),
        ({"seeds": [2**63]}, "whole numbers"),
        ({"seeds": "three"}, "number of seeds"),
        ({"gap": -1}, "0 or more"),
        ({"evaluate": "both"}, '"values" or "retrain"'),
        ({"selection": True}, 'False with evaluate="retrain"'),
        ({"seed": -1}, "0 or more"),
        ({"seed": True}, "whole number"),
        ({"seed": 0.5}, "whole number"),
        ({"workers": 0}, '"auto" or a whole number, 1 or more'),
        ({"workers": "many"}, '"auto" or a whole number, 1 or more'),
        ({"workers": True}, '"auto" or a whole number, 1 or more'),
        ({"fill": "black"}, "the name of a fill: .*mean"),
        ({"fill": 3}, "a name such as"),
        ({"fill": "mean(level=0.5)"}, "given options that mean has"),
        ({"fill": lambda kept, mask: kept[:, :, 1:]}, "images"),
        ({"fill": lambda kept, mask: kept / 0}, "finite"),
        ({"target": "second"}, '"label" or "predicted" or "random" or "all"'),
        ({"conditional": True, "mask_only": False}, "without mask_only"),
        ({"features": "patches"}, '"coordinates" or "pixels"'),
        ({"controls": ("randon",)}, "did you mean 'random'"),
        ({"controls": "random"}, "list of the names"),
        ({"controls": ("logit_gradient",)}, "the name of a control"),
        ({"controls": ("random", "random(sigma=2)")}, "options"),
        ({"controls": None}, "list of the names"),
        ({"attribution": "logit_gradiant"}, "did you mean 'logit_gradient'"),
        ({"attribution": "logit_gradient(size=3)"}, "options"),
        ({"attribution": []}, "at least one"),
        ({"attribution": {}}, "at least one"),
        ({"attribution": ["logit_gradient", "logit-gradient"]}, "named differently"),
        ({"attribution": 3}, "a name such as"),
        ({"attribution": "nowhere.nothing:function"}, "importable"),
        ({"attribution": torch.zeros(COUNT, 1, 8, 8)}, "a pair"),
        ({"attribution": (torch.zeros(COUNT, 1, 8, 8), "logit_gradient")}, "a pair"),
        ({"attribution": (Path("absent.npy"), Path("absent.npy"))}, "readable .npy"),
        ({"learner": "mpl"}, "did you mean 'mlp'"),
        ({"learner": "mlp(widht=3)"}, "given options that mlp has"),
        ({"learner": "mlp(width=0)"}, "1 or more"),
        ({"learner": "resnet18(depth=2)"}, "options"),
        ({"device": "abacus"}, '"auto", "cpu"'),
        ({"store": 3}, "a folder or a Store"),
    ],
    ids=lambda value: re.sub(" at 0x[0-9a-f]+", "", str(value))[:50] if isinstance(value, dict) else "",
)
def test_bad_options(refused, changed, words):
    refused(next(iter(changed)), words, **changed)


def test_an_attribution_that_is_given_twice(planted):
    sets = planted.images(COUNT, 0), planted.images(TEST_COUNT, 1)
    with pytest.raises(TypeError, match="multiple values for argument 'attribution'"):
        ga.diffroar(planted.classifier(), *sets, "edges", attribution="random")


def test_a_control_that_is_audited_as_well(refused):
    refused("controls", "other attributions than the audited", attribution="edges", controls=("edges",))


def test_a_learner_that_the_images_are_too_small_for(refused):
    tiny = ga.ImageSet(np.zeros((4, 1, 4, 4), np.uint8), [0, 1, 0, 1], ("a", "b"))
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    refused("learner", "at least 8 pixels", train=tiny, test=tiny, classifier=classifier, learner="convnet")


def test_an_own_learner_with_too_few_logits(refused, tmp_path, monkeypatch):
    network = "nn.Sequential(nn.Flatten(), nn.Linear(64, classes - 1))"
    source = f"from torch import nn\n\ndef net(input_shape, classes):\n    return {network}\n"
    (tmp_path / "own_bad_learner.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    refused("learner", "at least 10 logits", learner="own_bad_learner:net")


def test_an_own_learner_that_takes_no_further_channels(refused, tmp_path, monkeypatch):
    network = "nn.Sequential(nn.Flatten(), nn.Linear(64, classes))"
    (tmp_path / "own_narrow_learner.py").write_text(
        f"from torch import nn\n\ndef net(input_shape, classes):\n    return {network}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    refused("learner", "such as the 2 of an image with its mask; or give conditional=False", learner="own_narrow_learner:net")


def test_a_single_test_image(refused, planted):
    refused("test", "at least two images", test=planted.images(20, 1)[:1])


@pytest.mark.parametrize("part", ["train", "test"])
def test_what_is_no_image_set(refused, part):
    refused(part, "an ImageSet", **{part: torch.zeros(3, 1, 8, 8)})


def test_sets_of_different_shapes(refused, planted):
    refused("test", "of images like the training ones", test=planted.images(20, 0, channels=3))


def test_sets_of_different_classes(refused, planted):
    images = planted.images(20, 0)
    refused("test", "of the training images' classes", test=ga.ImageSet(images.images, images.labels, tuple("klmnopqrst")))


def test_training_images_of_one_class(refused, planted):
    images = planted.images(20, 0)
    refused("train", "at least two classes", train=images[images.labels == 3])


def test_images_of_one_pixel(refused):
    tiny = ga.ImageSet(np.zeros((4, 1, 1, 1), np.uint8), [0, 1, 0, 1], ("a", "b"))
    refused("train", "at least two pixels", train=tiny, test=tiny, classifier=nn.Sequential(nn.Flatten(), nn.Linear(1, 2)))


class Wrong(nn.Module):
    """A classifier with one fault."""

    def __init__(self, fault):
        super().__init__()
        self.inner, self.fault = nn.Linear(64, 10), fault

    def forward(self, images):
        return self.fault(self.inner(images.flatten(1)))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda logits: logits[:, :1], "two logits or more"),
        (lambda logits: logits[:, 0], "two logits or more"),
        (lambda logits: logits[:, :9], "at least 10 logits"),
        (lambda logits: logits * float("nan"), "finite logits"),
        (lambda logits: logits[:1], r"logits \(N, K\)"),
        (lambda logits: logits.argmax(1), "logits"),
        (lambda logits: logits.detach(), "differentiable"),
        (lambda logits: logits.round().detach() + torch.zeros(10, requires_grad=True), "no gradient"),
        (lambda logits: (logits[0], logits), "a tuple"),
        (lambda logits: logits - logits.mean(0), "another image of the batch"),
        (lambda logits: logits[:, :, None], r"logits \(N, K\)"),
        (lambda logits: logits.view(3, 5), "its forward raised RuntimeError"),
    ],
    ids=["one", "flat", "nine", "nan", "batch", "classes", "detached", "constant", "tuple", "mixing", "deep", "raises"],
)
def test_bad_classifiers(refused, fault, words):
    refused("classifier", words, classifier=Wrong(fault))


@pytest.mark.parametrize(
    "classifier", [None, nn.Linear, "lenet5", lambda images: images], ids=["none", "class", "name", "function"]
)
def test_what_is_no_classifier(refused, classifier):
    refused("classifier", "an nn.Module", classifier=classifier)


def test_weights_that_are_not_finite(refused, planted):
    classifier = planted.classifier()
    classifier[1].bias.data[3] = float("nan")
    refused("classifier", "`1.bias` holds 1 NaN", classifier=classifier)


def test_a_classifier_of_other_images(refused, planted):
    refused("classifier", "able to take images of shape", classifier=planted.classifier(channels=3))


def test_probabilities_are_warned_of(planted, tmp_path):
    arguments = (planted.images(40, 0), planted.images(20, 1))
    with pytest.warns(UserWarning, match="seems to return probabilities"):
        ga.prepare_diffroar(
            nn.Sequential(planted.classifier(), nn.Softmax(1)), *arguments, evaluate="retrain", store=tmp_path, device="cpu"
        )


def pair(change, dtype=np.float32):
    scores = [np.random.default_rng(0).standard_normal((count, 1, 8, 8)).astype(dtype) for count in (COUNT, TEST_COUNT)]
    return tuple(change(part) for part in scores)


def with_value(value):
    def change(scores):
        scores[7, 0, 2, 3] = value
        return scores

    return change


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (pair(with_value(np.nan)), "1 scores are NaN or infinite, the first in image 7"),
        (pair(with_value(np.inf)), "NaN or infinite"),
        (pair(with_value(1e300), np.float64), "NaN or infinite"),
        (pair(lambda scores: scores[:-1]), "scores of shape"),
        (pair(lambda scores: scores[:, :, :-1]), "scores of shape"),
        (pair(lambda scores: scores.astype(complex)), "real numbers"),
        (pair(lambda scores: scores > 0), "real numbers"),
        (pair(lambda scores: scores.astype(str)), "real numbers"),
        (pair(lambda scores: scores)[::-1], "scores of shape"),
        (pair(lambda scores: scores) * 2, "a pair"),
    ],
    ids=["nan", "infinite", "overflow", "too few", "shape", "complex", "boolean", "text", "swapped", "four"],
)
def test_bad_scores(refused, scores, words):
    refused("attribution", words, attribution={"mine": scores})


def test_bad_scores_are_found_before_another_attribution_is_drawn(refused):
    seen = []

    def slow(classifier, images, targets):
        seen.append(len(images))
        return images

    refused("attribution", "NaN", attribution=[{"slow": slow}, {"mine": pair(with_value(np.nan))}])
    assert sum(seen) <= 4, "only the trial on the first images of each set"


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (lambda images: images[:, :, 1:], "scores of shape"),
        (lambda images: images * float("nan"), "NaN"),
        (lambda images: None, "NoneType"),
        (lambda images: images > 0, "real numbers"),
    ],
    ids=["shape", "nan", "none", "boolean"],
)
def test_bad_functions(refused, returned, words):
    refused("attribution", words, attribution={"mine": lambda classifier, images, targets: returned(images)})


@pytest.mark.parametrize(
    ("images", "labels", "classes", "argument", "words"),
    [
        (np.zeros((2, 1, 4, 4), np.float32), [0, 1], "ab", "images", "uint8"),
        (np.zeros((2, 4, 4), np.uint8), [0, 1], "ab", "images", "N, C, H, W"),
        (np.zeros((0, 1, 4, 4), np.uint8), [], "ab", "images", "at least one image"),
        (np.zeros((2, 1, 4, 4), np.uint8), [0, 2], "ab", "labels", "from 0 to 1"),
        (np.zeros((2, 1, 4, 4), np.uint8), [-1, 0], "ab", "labels", "from 0 to 1"),
        (np.zeros((2, 1, 4, 4), np.uint8), [0, 1, 1], "ab", "labels", "one for each image"),
        (np.zeros((2, 1, 4, 4), np.uint8), [0.5, 1], "ab", "labels", "integers"),
    ],
    ids=["floats", "dimensions", "empty", "label above", "label below", "count", "fraction"],
)
def test_bad_image_sets(images, labels, classes, argument, words):
    with pytest.raises(ga.InputError, match=words) as caught:
        ga.ImageSet(images, np.asarray(labels), tuple(classes))
    assert caught.value.argument == argument


@pytest.mark.parametrize("place", ["store", "out"])
def test_a_folder_that_cannot_be_written(refused, planted, tmp_path, place):
    (tmp_path / "file").write_text("not a folder")
    if place == "store":
        refused("store", "can be written", store=tmp_path / "file" / "store")
    else:
        result = planted.grid(tmp_path / "store", seeds=1, levels=(0.2,), controls=())
        with pytest.raises(ga.InputError, match=r"`folder` .* can be written"):
            result.save(tmp_path / "file" / "out")


def test_an_error_comes_back_from_a_worker_as_it_was():
    for error in (ga.InputError("levels", (2,), "below 1"), ga.MissingExtraError("timm", "timm", "it"), ga.StoreError(28, "full")):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
