"""Classifiers and attacks built to mislead: each is found out, and says so in the verdict."""

import numpy as np
import pytest
import torch
from torch import nn

import gradaudit as ga


def run(classifier, images, **options):
    return ga.robustness(classifier, images, **({"eps": (0.0, 0.05), "device": "cpu"} | options))


def said(result, words):
    return any(words in caveat for caveat in result.verdict.caveats)


class Quantised(nn.Module):
    """Rounds its input, whose gradient is zero everywhere."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, images):
        return self.inner((images * 8).round() / 8)


class Jittered(nn.Module):
    """Adds noise to its input."""

    def __init__(self, inner, std):
        super().__init__()
        self.inner, self.std = inner, std

    def forward(self, images):
        return self.inner(images + self.std * torch.randn_like(images))


def test_an_honest_linear_classifier_raises_no_doubt(linear):
    result = run(linear.classifier(), linear.images(200), eps=(0.0, 0.002))
    assert result.verdict.label == "robust"
    assert result.verdict.caveats == ()
    assert result.details["checks"] == {
        "randomised": False,
        "zero_gradient": 0.0,
        "unbounded": 0.0,
        "noise": {"0.002": 0.0},
        "more_steps": {"pgd": {"0.002": 0.0}},
    }


def test_adversarial_examples_that_exist_make_it_brittle(linear):
    result = run(linear.classifier(), linear.images(100), eps=(0.0, 0.1))
    assert result.verdict.label == "brittle"
    assert "linf 0.1" in result.verdict.sentence


def test_half_within_the_interval_is_inconclusive(linear):
    images = linear.images(100)
    exact = np.median((linear.margins(linear.classifier(), images) / linear.slope(linear.classifier(), "linf")).numpy())
    assert run(linear.classifier(), images, eps=(0.0, float(exact))).verdict.label == "inconclusive"


@pytest.mark.filterwarnings("ignore:.*gradient of zero everywhere")
def test_a_quantised_input_is_unreliable(linear):
    result = ga.robustness(
        Quantised(linear.classifier()), linear.images(60), eps=(0.0, 0.05), attack="pgd(random_start=false)", device="cpu"
    )
    assert result.table["accuracy"][1] == result.clean_accuracy  # the attack did nothing
    assert result.verdict.label == "unreliable"
    assert result.details["checks"]["zero_gradient"] == 1
    assert result.details["checks"]["unbounded"] > 0.3  # what the random start alone leaves
    assert said(result, "gradient is exactly zero")
    assert said(result, "without bound")
    assert "signs of having failed" in result.verdict.sentence


def test_a_saturated_loss_is_unreliable(linear):
    images = linear.images(80)
    masked = run(linear.classifier(scale=1e5), images, attack="pgd(random_start=false)")
    honest = run(linear.classifier(), images)
    assert masked.table["accuracy"][1] > honest.table["accuracy"][1] + 0.3  # the same decisions, and yet
    assert masked.verdict.label == "unreliable"
    assert masked.details["checks"]["zero_gradient"] > 0.5


class Partly(nn.Module):
    """Sees only what is left of the middle, and of dark images nothing."""

    def __init__(self, inner, threshold):
        super().__init__()
        self.inner, self.threshold = inner, threshold

    def forward(self, images):
        seen = images * (torch.arange(images.shape[3]) < images.shape[3] // 2)
        bright = images.detach()[:, :1, :1, :1] > self.threshold
        return self.inner(torch.where(bright, seen, seen.detach()))


def test_only_a_gradient_that_is_zero_everywhere_counts_as_none(linear):
    """Here the share of dark ones among the first 64 that are right; that no pixel on the right has a gradient is no sign."""
    images = linear.images(150)
    threshold = float(images.floats()[:, 0, 0, 0].median())
    result = run(Partly(linear.classifier(), threshold), images, eps=(0.0, 0.002))
    with torch.no_grad():
        right = Partly(linear.classifier(), threshold)(images.floats()).argmax(dim=1) == images.labels
    dark = images.floats()[right][:64, 0, 0, 0] <= threshold
    assert 0.2 < dark.float().mean() < 0.8
    assert result.details["checks"]["zero_gradient"] == pytest.approx(float(dark.double().mean()))


def test_a_randomised_classifier_needs_averaging(linear):
    module, images = Jittered(linear.classifier(), 0.05), linear.images(60)
    once = run(module, images, eps=(0.0, 0.002))
    assert said(once, "attacked without averaging")
    assert once.verdict.label == "unreliable"
    averaged = run(module, images, eps=(0.0, 0.002), eot=8)
    assert said(averaged, "averages over 8 passes")
    assert not said(averaged, "attacked without averaging")
    assert run(module, images, eps=(0.0, 0.002)).to_json() == once.to_json()


def test_averaging_makes_the_attack_stronger(linear):
    module, images = Jittered(linear.classifier(scale=3), 0.2), linear.images(100)
    once, averaged = (run(module, images, eps=(0.03,), steps=5, eot=eot, seed=3).table["accuracy"][0] for eot in (1, 32))
    assert averaged <= once


@pytest.mark.filterwarnings("ignore:.*gradient of zero everywhere")
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_constant_classifier_keeps_the_share_of_its_class_and_no_trust(linear, norm):
    module = linear.classifier()
    module[1].weight.data.zero_()
    module[1].bias.data = torch.tensor([2.0, 0.0])
    images = linear.images(40, labels=(torch.arange(40) % 4 == 3).long())
    result = run(module, images, norm=norm, eps=(0.0, 0.3, 1.0))
    assert result.table["accuracy"].tolist() == [0.75] * 3
    assert result.verdict.label == "unreliable"


def test_one_class_is_no_test(linear):
    images = linear.images(30, labels=torch.zeros(30, dtype=torch.int64))
    assert said(run(linear.classifier(), images), "all images are of one class")


def nothing(classifier, images, labels, *, norm, eps):
    return images


def weak_when_wide(classifier, images, labels, *, norm, eps):
    """Works at small radii only."""
    return ga.pgd(classifier, images, labels, norm=norm, eps=eps, random_start=False) if eps < 0.08 else images


def test_random_points_find_out_an_attack_that_does_nothing(linear):
    result = run(linear.classifier(), linear.images(100), eps=(0.0, 0.15), attack=nothing)
    assert result.details["checks"]["noise"]["0.15"] > 0.1
    assert result.verdict.label == "unreliable"
    assert said(result, "random points break")


def test_more_steps_find_out_an_attack_that_stops_early(linear):
    result = run(linear.classifier(), linear.images(100), attack="pgd(steps=1, step_size=0.01, random_start=false)", eps=(0.02,))
    assert result.details["checks"]["more_steps"]["pgd(random_start=False, step_size=0.01, steps=1)"]["0.02"] > 0.05
    assert said(result, "twice the steps")


def test_images_that_fall_at_a_smaller_radius_find_out_an_attack(linear):
    result = run(linear.classifier(), linear.images(100), eps=(0.0, 0.03, 0.09), attack=weak_when_wide)
    assert said(result, "stand at a larger one")
    assert result.verdict.label == "unreliable"


def test_a_larger_radius_that_lowers_nothing_is_told(linear):
    assert said(run(linear.classifier(), linear.images(50), eps=(0.01, 0.02), attack=nothing), "does not lower the accuracy")
    assert not said(run(linear.classifier(), linear.images(50), eps=(0.01, 0.02)), "does not lower the accuracy")


@pytest.mark.parametrize(("norm", "eps"), [("linf", 1.0), ("l2", 6.0)])
def test_a_huge_radius_breaks_everything_and_is_told(linear, norm, eps):
    result = run(linear.classifier(), linear.images(40), norm=norm, eps=(0.0, eps))
    assert result.table["accuracy"][1] == 0
    assert said(result, "every image may become any other")
    assert result.verdict.label == "inconclusive"  # there is no radius to judge


def test_half_the_box_is_told(linear):
    assert said(run(linear.classifier(), linear.images(40), eps=(0.0, 0.6)), "same grey")


def test_an_attack_far_above_the_others_is_told(linear):
    result = run(linear.classifier(), linear.images(60), attack=["pgd", nothing])
    assert said(result, "nothing alone would have said")
    assert not said(result, "pgd alone would")


def test_few_images_are_told(linear):
    assert said(run(linear.classifier(), linear.images(5)), "with 5 images")


def test_not_one_right_image_is_told(linear):
    images = linear.images(30)
    images = ga.ImageSet(images.images, 1 - linear.classifier()(images.floats()).argmax(1), ("a", "b"))
    result = run(linear.classifier(), images)
    assert result.table["accuracy"].tolist() == [0, 0]
    assert result.verdict.label == "inconclusive"
    assert "not one image" in result.verdict.sentence


def test_a_certificate_alone_is_judged_too(linear):
    result = run(linear.classifier(scale=8), linear.images(60), eps=(0.0, 0.01), attack="smoothing(n=500)")
    assert result.verdict.label == "robust"
    assert "certified" in result.verdict.sentence
    average = run(linear.classifier(scale=8), linear.images(60), eps=(0.0, 0.01), attack="gaussian")
    assert "neighbours" in average.verdict.sentence
