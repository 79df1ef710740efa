"""Alignment where the answer is known: Bayes classifiers of Gaussian mixtures, linear classifiers, scores to order."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gradaudit.diffusion import Denoiser
from gradaudit.diffusion.mixture import gaussian_mixture
from gradaudit.instruments.alignment import alignment

CPU = {"device": "cpu"}


def values(result, gradient, score="unconditional", similarity="cosine"):
    found = result.per_image()
    chosen = (found["gradient"] == gradient) & (found["score"] == score) & (found["similarity"] == similarity)
    return found[chosen]["value"].to_numpy()


@pytest.mark.parametrize("noise", ["none", "matched"])
@pytest.mark.parametrize("sigma", [0.05, 0.25, 1.0])
def test_a_bayes_classifier_has_the_bayes_gradient(mixture, sigma, noise):
    options = {"gradient": ["log_probability", "logit"], "score": ["bayes", "conditional", "unconditional"], "noise": noise}
    result = alignment(mixture.classifier(sigma), mixture.images(), mixture.denoiser(), sigma=sigma, **options, **CPU)
    assert values(result, "log_probability", "bayes").min() > 1 - 1e-9
    assert values(result, "logit", "conditional").min() > 1 - 1e-9  # log p(x | y) itself
    assert values(result, "log_probability", "unconditional").max() < 0.99  # the pairs that theory does not pair


def test_a_bayes_classifier_of_another_sigma_is_less_aligned(mixture):
    images, options = mixture.images(), {"gradient": "log_probability", "score": "unconditional", "sigma": 0.1}
    same, other = (
        alignment(mixture.classifier(sigma), images, mixture.denoiser(), **{**options, "score": "bayes"}, **CPU)
        for sigma in (0.1, 3.0)
    )
    assert other.table["value"][0] < same.table["value"][0] - 1e-3


@pytest.mark.parametrize("intrinsic_dim", [None, 5])
def test_mixtures_of_the_diffusion_room(intrinsic_dim):
    known = gaussian_mixture(classes=3, shape=(1, 6, 6), intrinsic_dim=intrinsic_dim, spread=0.15, normal_std=0.05)
    options = {"gradient": "log_probability", "score": "bayes", "similarity": ["cosine", "rank_correlation"], "noise": "matched"}
    result = alignment(known.bayes_classifier(0.25), known.sample(30, 0), known.denoiser(), sigma=0.25, **options, **CPU)
    assert min(values(result, "log_probability", "bayes", name).min() for name in options["similarity"]) > 1 - 1e-5
    assert result.verdict.label == "aligned"


def test_a_linear_classifier_has_known_cosines(mixture, linear, constant):
    images, module = mixture.images(), linear()
    direction = torch.linspace(-1, 2, 20).reshape(1, 4, 5)
    gradients = ["logit", "logit_sum", "log_probability"]
    result = alignment(module, images, constant(direction), gradient=gradients, **CPU)
    weight = module[1].weight.detach().double()
    shares = module(images.floats()).softmax(1).double().detach()
    expected = {"logit": weight[images.labels], "logit_sum": weight.sum(0).expand(30, -1)}
    expected["log_probability"] = weight[images.labels] - shares @ weight
    for name, slopes in expected.items():
        cosines = F.cosine_similarity(slopes, direction.double().flatten()[None])
        np.testing.assert_allclose(values(result, name), cosines, atol=1e-6)


def test_the_predicted_class_is_taken_where_asked_for(mixture, linear, constant):
    images, module = mixture.images(), linear()
    direction = torch.linspace(-1, 2, 20).reshape(1, 4, 5)
    predicted = module(images.floats()).argmax(1)
    assert (predicted != images.labels).any()
    result = alignment(module, images, constant(direction), target="predicted", **CPU)
    cosines = F.cosine_similarity(module[1].weight[predicted], direction.flatten()[None]).detach()
    np.testing.assert_allclose(values(result, "logit"), cosines, atol=1e-6)


def itself(classifier, points, targets):
    """Gradients that are the points."""
    return points


def doubled(noisy, sigma, labels):
    """A denoiser whose score is the point itself."""
    return noisy * (1 + sigma.square()[:, None, None, None])


@pytest.mark.parametrize("noise", ["none", "matched"])
def test_gradients_and_scores_are_taken_at_the_same_points(mixture, linear, noise):
    result = alignment(linear(), mixture.images(), Denoiser(doubled), gradient=itself, noise=noise, sigma=(0.5, 1.0), **CPU)
    assert values(result, "itself").min() > 1 - 1e-5


def test_matched_points_have_the_noise_of_their_sigma(mixture, linear):
    seen = []

    def kept(classifier, points, targets):
        seen.append(points)
        return points

    images = mixture.images(200)
    alignment(linear(), images, Denoiser(doubled), gradient=kept, noise="matched", sigma=(0.1, 0.4), batch_size=200, **CPU)
    small, large = seen[:2]  # 200 images and the first once more
    middle = (4 * small - large) / 3  # the same draw, scaled by sigma
    assert torch.allclose(middle.sum(dim=(1, 2, 3))[:-1].sort().values, images.floats().sum(dim=(1, 2, 3)).sort().values, atol=1e-4)
    assert [float((points - middle).std()) for points in (small, large)] == pytest.approx([0.1, 0.4], rel=0.05)


def test_the_other_image_is_another_one_and_each_serves_once(mixture, linear):
    images = mixture.images()
    result = alignment(linear(), images, Denoiser(doubled), gradient=itself, **CPU)
    flat = images.floats().flatten(1).double()
    cosines = F.cosine_similarity(flat[:, None], flat[None], dim=2)
    found = torch.tensor(values(result, "control: itself of another image"))
    partner = (cosines - found[:, None]).abs().fill_diagonal_(torch.inf).argmin(dim=1)
    assert torch.allclose(cosines[torch.arange(30), partner], found, atol=1e-5)
    assert sorted(partner.tolist()) == list(range(30))


@pytest.mark.parametrize("noise", ["none", "matched"])
def test_random_gradients_are_at_right_angles_to_any_score(mixture, linear, noise):
    images = mixture.images(300)
    # At noisy points this score is mostly the noise of the points themselves.
    result = alignment(linear(), images, mixture.denoiser(), score="unconditional", noise=noise, sigma=1.0, **CPU)
    row = result.table[result.table["gradient"] == "control: random"].iloc[0]
    assert row["low"] < 0 < row["high"]
    assert values(result, "control: random").std() == pytest.approx(20**-0.5, rel=0.2)  # as of unit vectors in 20 dimensions


def test_each_score_is_computed_once(mixture, linear):
    exact, asked = mixture.denoiser().denoise, []

    def counted(noisy, sigma, labels):
        asked.append((len(noisy), labels is None))
        return exact(noisy, sigma, labels)

    denoiser = Denoiser(counted, shape=(1, 4, 5), classes=3)
    alignment(linear(), mixture.images(), denoiser, score=["unconditional", "conditional", "bayes"], batch_size=10, **CPU)
    batches = [one for one, _ in itertools.groupby(asked[3:])][:2]  # after three batches of the denoising check
    assert sorted(batches) == [(10, False), (10, True)]
    assert asked[3:9].count((10, True)) == asked[3:9].count((10, False)) == 3
