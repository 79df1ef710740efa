"""`counterfactual`: what is wrong is said before any work begins."""

import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.instruments.counterfactual import Solution


def denoiser(**options):
    return ga.Denoiser(lambda noisy, sigma, labels: noisy, **options)


@pytest.mark.parametrize(
    ("options", "argument", "words"),
    [
        ({"targets": "left"}, "targets", "top, middle, bottom"),
        ({"targets": 3}, "targets", "a class"),
        ({"targets": 1.0}, "targets", "a class"),
        ({"targets": True}, "targets", "a class"),
        ({"targets": [1, 2]}, "targets", "one for each of 10 images"),
        ({"targets": torch.ones(10)}, "targets", "a class"),
        ({"targets": "middle"}, "targets", "images 1, 4, 7 count as middle already"),
        ({"targets": [1, 1, 1, 1, 2, 0, 1, 2, 0, 1]}, "targets", "image 1 counts as middle already"),
        ({"seed": -1}, "seed", "0 or more"),
        ({"seeds": 0}, "seeds", "1 or more"),
        ({"batch_size": 0}, "batch_size", "1 or more"),
        ({"method": []}, "method", "at least one"),
        ({"method": "dcve"}, "method", "did you mean 'dvce'"),
        ({"method": "svce(radios=2)"}, "method", "given options that svce has"),
        ({"method": "dvce"}, "denoiser", "load_denoiser gives one"),
        ({"method": ["svce", "svce"]}, "method", "named differently"),
        ({"denoiser": "zoo:mnist"}, "denoiser", "load_denoiser gives one"),
        ({"denoiser": denoiser(shape=(1, 8, 8))}, "denoiser", "(1, 6, 6)"),
        (
            {"denoiser": denoiser(classes=2), "targets": [1, 2] + [0, 1, 2] * 2 + [0, 1]},
            "targets",
            "the 2 classes that the denoiser knows",
        ),
        ({"oracles": [nn.Identity()]}, "oracles", "by name"),
        ({"store": 3}, "store", "a folder or a Store"),
        ({"device": "gpu"}, "device", "cuda"),
    ],
)
def test_a_bad_argument_is_named(change, options, argument, words):
    with pytest.raises(ga.InputError) as error:
        change(**options)
    assert error.value.argument == argument
    assert words in str(error.value)


@pytest.mark.parametrize(("argument", "options"), [("robust", "robust"), ("oracles['judge']", "oracles")])
def test_helpers_of_other_classes_are_refused(change, argument, options):
    other = nn.Sequential(nn.Flatten(), nn.Linear(36, 5))
    with pytest.raises(ga.InputError) as error:
        change(**{options: other if options == "robust" else {"judge": other}})
    assert error.value.argument == argument
    assert "of 3 classes" in str(error.value)


def test_a_classifier_is_no_oracle_of_itself(change, toys):
    classifier = toys.classifier()
    with pytest.raises(ga.InputError, match="no judge of itself"):
        change(classifier, oracles={"again": toys.classifier()})


def test_images_are_an_image_set(toys):
    with pytest.raises(ga.InputError, match="`images`"):
        ga.counterfactual(toys.classifier(), torch.rand(3, 1, 6, 6), "second")


def test_real_images_to_compare_with_are_alike(change):
    other = ga.ImageSet(torch.zeros(4, 1, 5, 5, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64), ("top", "middle", "bottom"))
    with pytest.raises(ga.InputError, match="`reference`"):
        change(reference=other)


def test_nan_logits_name_the_images(change, toys):
    class Sometimes(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = toys.classifier()

        def forward(self, images):
            lost = images[:, 0, 5, 5] > 0.9  # the bottom bar's corner, where it is brightest
            return self.inner(images) + torch.where(lost, torch.nan, 0.0)[:, None]

    images = toys.images(10)
    bright = (images.images[:, 0, 5, 5] > 0.9 * 255).nonzero()[:, 0].tolist()
    assert bright
    assert not {0, 9} & set(bright)  # so that only the pass over all images can find it
    with pytest.raises(ga.InputError, match=f"images? {', '.join(map(str, bright))}$"):
        change(Sometimes(), images)


def test_a_bad_option_of_the_last_method_is_found_before_the_first_begins(change, toys):
    begun = []

    def first(problem):
        begun.append(problem)
        return toys.towards(problem)

    with pytest.raises(ga.InputError, match="`steps`"):
        change(method=[first, "svce(steps=0)"])
    assert not begun


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (lambda problem: problem.images, "it returned a Tensor"),
        (lambda problem: Solution(problem.images[:1]), "float images of shape (10, 1, 6, 6)"),
        (lambda problem: Solution(problem.images + 1), "in [0, 1]"),
        (lambda problem: Solution(problem.images, {"distance": torch.zeros(3, 2)}), "a row of steps"),
        (lambda problem: Solution(problem.images, failed=("no",)), "a failure"),
        (lambda problem: Solution(problem.images, frames=problem.images[:, None]), "frames uint8"),
    ],
)
def test_what_a_users_method_must_not_return(change, returned, words):
    with pytest.raises(ga.InputError) as error:
        change(method=returned)
    assert error.value.argument == "method"
    assert words in str(error.value)
