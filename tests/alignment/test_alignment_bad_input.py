"""What is refused, and how it is told."""

import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.diffusion import Denoiser
from gradaudit.instruments.alignment import alignment

CPU = {"device": "cpu"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sigma": ()}, "`sigma`"),
        ({"sigma": 0}, "`sigma`"),
        ({"sigma": (0.5, 0.1)}, "`sigma`"),
        ({"sigma": (0.1, 0.1)}, "`sigma`"),
        ({"sigma": "0.1"}, "`sigma`"),
        ({"sigma": True}, "`sigma`"),
        ({"sigma": float("inf")}, "`sigma`"),
        ({"similarity": "cosinus"}, "did you mean 'cosine'"),
        ({"similarity": []}, "`similarity`"),
        ({"similarity": ["cosine", "cosine"]}, "`similarity` (='cosine') must be named differently"),
        ({"similarity": "features"}, "given the options that have no default: network"),
        ({"similarity": "cosine(k=1)"}, "`similarity`"),
        ({"similarity": "features(network=linear)"}, "`weights`"),
        ({"similarity": "ssim"}, "more than 5 pixels a side"),
        ({"similarity": 3}, "`similarity`"),
        ({"gradient": "logits"}, "did you mean 'logit'"),
        ({"gradient": ()}, "`gradient`"),
        ({"score": "base"}, "did you mean 'bayes'"),
        ({"score": []}, "`score`"),
        ({"noise": "some"}, "`noise`"),
        ({"target": "best"}, "`target`"),
        ({"seed": -1}, "`seed`"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"batch_size": "many"}, "`batch_size`"),
        ({"device": "abacus"}, "`device`"),
    ],
)
def test_arguments_out_of_range(mixture, linear, options, words):
    with pytest.raises(ga.InputError) as caught:
        alignment(linear(), mixture.images(), mixture.denoiser(), **CPU | options)
    assert words in str(caught.value)


def test_subjects_that_do_not_fit(mixture, linear, constant):
    images, denoiser = mixture.images(), mixture.denoiser()
    other = Denoiser(denoiser.denoise, shape=(1, 5, 4), classes=3)
    for bad, words in (
        ((linear(), images.floats(), denoiser), "`images`"),
        ((linear(), images[:1], denoiser), "two images or more"),
        ((linear(), images, lambda noisy, sigma: noisy), "`denoiser` (='function') must be a Denoiser"),
        ((linear(), images, other), "of images of shape (1, 4, 5)"),
        ((nn.Linear(3, 2), images, denoiser), "`classifier`"),
        ((None, images, denoiser), "`classifier`"),
    ):
        with pytest.raises(ga.InputError) as caught:
            alignment(*bad, **CPU)
        assert words in str(caught.value)


@pytest.mark.parametrize("score", ["conditional", "bayes", ["unconditional", "bayes"]])
def test_a_denoiser_without_classes_has_no_scores_of_a_class(mixture, linear, score):
    plain = Denoiser(mixture.denoiser().denoise, shape=(1, 4, 5))
    with pytest.raises(ga.InputError, match="unconditional: this denoiser knows no classes") as caught:
        alignment(linear(), mixture.images(), plain, score=score, **CPU)
    assert (score if isinstance(score, str) else "bayes") in str(caught.value)
    assert alignment(linear(), mixture.images(), plain, **CPU).settings["scores"] == ["unconditional"]


def test_classes_that_differ(mixture):
    torch.manual_seed(0)
    four = nn.Sequential(nn.Flatten(), nn.Linear(20, 4))
    images = mixture.images()
    with pytest.raises(ga.InputError, match=r"`denoiser` .='of 3 classes'. must be of 4 classes"):
        alignment(four, images, mixture.denoiser(), **CPU)
    assert alignment(four, images, mixture.denoiser(), score="unconditional", **CPU).verdict
    fewer = ga.ImageSet(images.images, images.labels.clamp(max=1), ("a", "b"))
    three = nn.Sequential(nn.Flatten(), nn.Linear(20, 3))
    with pytest.raises(ga.InputError, match=r"`images` .='of 2 classes'. must be of 3 classes"):
        alignment(three, fewer, mixture.denoiser(), **CPU)


def test_what_the_denoiser_refuses_is_its_error(mixture, linear):
    def narrow(noisy, sigma, labels):
        if float(sigma.max()) > 1:
            raise ga.InputError("sigma", float(sigma.max()), "at most 1")
        return noisy

    with pytest.raises(ga.InputError, match=r"`sigma` .=2.0. must be at most 1"):
        alignment(linear(), mixture.images(), Denoiser(narrow), sigma=(0.5, 2.0), **CPU)


@pytest.mark.parametrize(
    ("argument", "function", "words"),
    [
        ("gradient", lambda classifier, points, targets: points[:, 0], "of shape"),
        ("gradient", lambda classifier, points, targets: points / 0, "finite"),
        ("score", lambda score, targets: score(None).log(), "finite"),
        ("score", lambda score, targets: 3, "it returned int"),
        ("similarity", lambda gradients, scores: gradients, "of shape (30,)"),
        ("similarity", lambda gradients, scores: gradients.flatten(1)[:, 0] / 0, "finite"),
    ],
)
def test_own_functions_that_return_what_they_must_not(mixture, linear, argument, function, words):
    with pytest.raises(ga.InputError) as caught:
        alignment(linear(), mixture.images(), mixture.denoiser(), **{argument: function}, **CPU)
    assert f"`{argument}`" in str(caught.value)
    assert words in str(caught.value)
