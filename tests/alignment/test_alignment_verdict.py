"""The verdict and its caveats."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from gradaudit.diffusion import Denoiser
from gradaudit.instruments.alignment import alignment
from gradaudit.instruments.alignment.result import tabulate
from gradaudit.instruments.alignment.verdict import judge

CPU = {"device": "cpu"}
BAYES = {"gradient": "log_probability", "score": "bayes"}


def told(result, words):
    return any(words in caveat for caveat in result.verdict.caveats)


def test_a_bayes_classifier_is_aligned_without_caveats(mixture):
    result = alignment(mixture.classifier(0.25), mixture.images(), mixture.denoiser(), **BAYES, **CPU)
    assert result.verdict.label == "aligned"
    assert "is 1.000 (95 % interval 1.000 to 1.000)" in result.verdict.sentence
    assert result.verdict.caveats == ()


def test_a_random_gradient_is_not_aligned(mixture, linear):
    def noise(classifier, points, targets):
        return torch.randn(points.shape, generator=torch.Generator().manual_seed(3))

    result = alignment(linear(), mixture.images(400), mixture.denoiser(), gradient=noise, batch_size=400, **CPU)
    assert result.verdict.label == "not aligned"


def test_what_another_image_does_as_well_is_not_aligned(mixture, linear):
    """A linear classifier's sum of logits has one gradient for all images, and here the score is one as well."""
    direction = linear()[1].weight.sum(0).detach().reshape(1, 4, 5)
    denoiser = Denoiser(lambda noisy, sigma, labels: noisy + sigma.square()[:, None, None, None] * direction)
    result = alignment(linear(), mixture.images(), denoiser, gradient="logit_sum", **CPU)
    assert result.table["value"][0] == pytest.approx(1)
    assert result.verdict.label == "not aligned"
    assert "control: logit sum of another image" in result.verdict.sentence


def half_aligned(share):
    """A gradient with that share of the score in it, the rest noise of each image's own."""

    def gradient(classifier, points, targets):
        score = 0.5 - points
        noise = torch.randn(points.shape, generator=torch.Generator().manual_seed(len(points)))
        return share * score / score.flatten(1).norm(dim=1)[:, None, None, None] + (1 - share) * noise / noise[0].norm()

    return gradient


def centred(noisy, sigma, labels):
    """A denoiser whose score points from the image to mid-grey."""
    return noisy + sigma.square()[:, None, None, None] * (0.5 - noisy)


def test_few_images_are_inconclusive_where_many_would_do(mixture, linear):
    few, many = (
        alignment(linear(), mixture.images(count), Denoiser(centred), gradient=half_aligned(0.22), **CPU) for count in (6, 600)
    )
    assert few.verdict.label == "inconclusive"
    assert told(few, "with 6 images, intervals are up to")
    assert many.verdict.label == "aligned"
    assert not told(many, "intervals are up to")


def test_several_sigmas_are_judged_where_it_is_clearest(mixture):
    result = alignment(mixture.classifier(0.1), mixture.images(), mixture.denoiser(), sigma=(0.1, 2.0), **BAYES, **CPU)
    best = result.table[result.table["gradient"] == "log_probability"]["value"].to_numpy().argmax()
    assert f"at sigma {(0.1, 2.0)[best]:g}, the clearest of 2 sigmas," in result.verdict.sentence
    assert result.pictures.sigma == (0.1, 2.0)[best]


class Blind(nn.Module):
    """Logits that do not depend on the image, or only on bright ones."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.threshold = nn.Linear(20, 3), threshold

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        flat = images.flatten(1)
        return self.linear(flat) * (flat[:, :1] > self.threshold)


@pytest.mark.filterwarnings("ignore:.*gradient of zero everywhere")
def test_gradients_of_zero_are_told_and_prove_nothing(mixture):
    images = mixture.images(40)
    threshold = float(images.floats().flatten(1)[:, 0].median())
    some, none = (alignment(Blind(one), images, mixture.denoiser(), **CPU) for one in (threshold, 2.0))
    dark = (images.floats().flatten(1)[:, 0] <= threshold).double().mean()
    assert told(some, f"for {dark:.1%} of the images the logit gradient (sigma 0.25) is exactly zero")
    assert none.verdict.label == "inconclusive"
    assert told(none, "for 100.0% of the images the logit gradient")
    assert (none.table["value"][0], none.table["high"][0]) == (0, 0)


def test_saturated_probabilities_are_told(mixture, linear):
    module, images = linear(scale=60.0), mixture.images(60)
    shares = (1 - module(images.floats()).double().softmax(1))[torch.arange(60), images.labels]
    assert (shares < 1e-8).any()
    assert (shares > 0.1).any()
    result = alignment(module, images, mixture.denoiser(), **BAYES, **CPU)
    assert told(result, "the log_probability gradient (sigma 0.25) is under 1e-06 of the largest")


def judged(own, another, random, sigmas=1):
    """The label of made-up values (N,) of a gradient and of its two controls, the same at every sigma."""
    settings = {"gradients": ["logit"], "scores": ["unconditional"], "similarities": ["cosine"]}
    settings |= {"sigma": [0.1 * (1 + place) for place in range(sigmas)]}
    values = [list(one) for one in (own, another, random) for _ in range(sigmas)]
    details = {"labels": [0, 1] * (len(own) // 2), "values": values, "directions": [], "denoising": []}
    return judge(tabulate(details, settings), details, settings).label


SPREAD = np.linspace(-1, 1, 40)
ERROR = SPREAD.std(ddof=1) / np.sqrt(40)


@pytest.mark.parametrize(("value", "label"), [(0.54, "not aligned"), (0.56, "aligned")])
def test_the_gain_is_a_share_of_the_way_from_chance_to_1(value, label):
    """Of the way from 0.5 to 1, a tenth is 0.05."""
    chance = np.full(40, 0.5)
    assert judged(value + 0.001 * SPREAD, chance, chance) == label


@pytest.mark.parametrize("beaten", [(0.0, 0.5), (0.5, 0.0)])
def test_the_harder_control_decides(beaten):
    assert judged(0.5 + 0.001 * SPREAD, *(np.full(40, one) for one in beaten)) == "not aligned"


def test_the_clearest_of_several_sigmas_must_be_clearer_than_a_single_one():
    """The gain's lower end is a tenth or more by an interval of 95 %, and less by one of 99.5 %, as ten sigmas need."""
    one, ten = (stats.t.ppf(1 - 0.025 / sigmas, 39) * ERROR for sigmas in (1, 10))
    nothing = np.zeros(40)
    own = 0.1 + (one + ten) / 2 + SPREAD
    assert judged(own, nothing, nothing) == "aligned"
    assert judged(own, nothing, nothing, sigmas=10) == "inconclusive"


def test_a_denoiser_that_does_not_denoise_is_told(mixture, linear):
    grey = Denoiser(lambda noisy, sigma, labels: torch.full_like(noisy, 0.9))
    worse = Denoiser(lambda noisy, sigma, labels: 2 * noisy)
    assert told(alignment(linear(), mixture.images(), grey, sigma=(0.5,), **CPU), "than the mean of all images")
    assert told(alignment(linear(), mixture.images(), worse, sigma=(0.5,), **CPU), "than the noisy image itself")
    exact = alignment(linear(), mixture.images(), mixture.denoiser(), sigma=(0.05, 0.5, 5.0), **CPU)
    assert not told(exact, "comes no nearer")


def test_the_denoising_errors_are_those_of_the_closed_form(mixture, linear):
    images = mixture.images(600)
    found = alignment(linear(), images, mixture.denoiser(), sigma=(0.1, 0.3), **CPU).details["denoising"]
    for one, sigma in zip(found, (0.1, 0.3), strict=True):
        # A Gaussian of deviation 0.15 under noise: the error of the posterior mean. 64 images of 20 pixels.
        assert one["error"] == pytest.approx(1 / (1 / 0.15**2 + 1 / sigma**2), rel=0.2)
        assert one["noisy"] == pytest.approx(sigma**2, rel=0.2)


def test_opposite_directions_are_told(mixture):
    def against(classifier, points, targets):
        return points - 0.5

    result = alignment(mixture.classifier(0.25), mixture.images(), Denoiser(centred), gradient=against, **CPU)
    assert result.verdict.label == "not aligned"
    assert np.isclose(result.table["value"][0], -1)
    assert told(result, "opposite ways")


def beside_edges(own, edges):
    """The caveats of made-up values (N,), where chance gives nothing and edges what is given, if they were measured."""
    settings = {"gradients": ["logit"], "scores": ["bayes"], "similarities": ["magnitude_cosine"], "sigma": [0.25]}
    values = [list(one) for one in (own, np.zeros(40), np.zeros(40))]
    if edges is not None:
        settings["fixed_controls"] = ["control: random", "control: edges"]
        values.append(list(edges))
    details = {"labels": [0, 1] * 20, "values": values, "directions": [], "denoising": []}
    return " ".join(judge(tabulate(details, settings), details, settings).caveats)


@pytest.mark.parametrize(("edges", "told_of"), [(0.6, True), (0.5, True), (0.47, False)])
def test_edges_that_come_as_near_as_the_gradient_are_told(edges, told_of):
    """Image by image, as the gradient and the edges of one image share what is easy in it: their means would not tell."""
    noise = SPREAD / 4
    assert ("edges, which know no classifier" in beside_edges(0.5 + noise, edges + noise + SPREAD / 100)) == told_of


def test_edges_are_told_only_where_there_is_an_alignment_and_they_were_measured():
    assert beside_edges(0.05 + SPREAD / 100, np.full(40, 0.9)) == ""
    assert beside_edges(0.5 + SPREAD / 100, None) == ""


def test_a_single_class_is_told(mixture, linear):
    images = mixture.images(60)
    images = images[images.labels == 1]
    assert told(alignment(linear(), images, mixture.denoiser(), **CPU), "all images are of one class")
