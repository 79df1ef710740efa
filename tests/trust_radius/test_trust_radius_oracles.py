"""The trust radius against closed forms: linear, constant and quadratic classifiers, Gaussian mixtures, Stein's formula."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

import gradaudit as ga
from gradaudit.batching import frozen
from gradaudit.instruments.trust_radius.statistics import crossing, root_mean_square, squared_error
from gradaudit.instruments.trust_radius.surroundings import Surroundings
from gradaudit.noise import generators, normal
from gradaudit.packing import unpack

SIGMAS = (0.05, 0.2, 0.8)


def exact(classifier, images, sigma):
    """The probability of keeping the class for a linear classifier, (N,), by SciPy."""
    weights, bias = (one.detach().double().numpy() for one in (classifier[1].weight, classifier[1].bias))
    logits = images.floats().flatten(1).double().numpy() @ weights.T + bias
    found = []
    for own, row in zip(logits.argmax(1), logits, strict=True):
        rivals = [one for one in range(len(row)) if one != own]
        slopes = weights[own] - weights[rivals]
        lengths = np.linalg.norm(slopes, axis=1)
        bounds = (row[own] - row[rivals]) / (sigma * lengths)
        cosines = slopes @ slopes.T / lengths[:, None] / lengths[None]
        normal_law = stats.multivariate_normal(np.zeros(len(rivals)), cosines, allow_singular=True)
        found.append(stats.norm.cdf(bounds[0]) if len(rivals) == 1 else normal_law.cdf(bounds))
    return np.array(found)


@pytest.mark.parametrize("classes", [2, 4])
def test_all_estimates_are_exact_for_a_linear_classifier(made, classes):
    images = made.drawn(60, classes=classes, channels=3)
    classifier = made.linear(images)
    result = ga.trust_radius(classifier, images, sigma=SIGMAS, copies=200, **made.options)
    found = result.per_image()
    for row, sigma in zip(result.table.to_dict("records"), SIGMAS, strict=True):
        expected = exact(classifier, images, sigma)
        assert 0.3 < expected.mean() < 1
        for name in ("taylor", "mmse"):
            np.testing.assert_allclose(found[f"p_{name}_{sigma:g}"], expected, atol=1e-9 if classes == 2 else 2e-3)
            assert row[f"error_{name}_low"] == 0
            assert row[f"error_{name}_high"] < 0.04
        np.testing.assert_allclose(found[f"p_moments_{sigma:g}"], expected, atol=0.12)
        far = (found[f"p_mc_{sigma:g}"] - expected) / np.sqrt(np.maximum(expected * (1 - expected), 1e-4) / 200)
        assert far.abs().max() < 5
        assert row["error_moments"] < 0.05
        np.testing.assert_allclose(found[f"explained_{sigma:g}"], 1, atol=1e-6)
    assert result.radius == (0.8, 0.8, 0.8)
    assert result.length == pytest.approx((0.8 * math.sqrt(3 * made.side**2),) * 3)
    assert result.agreement == (0.8, 0.8, 0.8)
    assert result.verdict.label == "wide"
    assert (found["radius"] == 0.8).all()


def test_the_distance_to_a_linear_boundary_is_the_same_at_every_sigma(made):
    images = made.drawn(30, classes=2)
    classifier = made.linear(images)
    found = ga.trust_radius(classifier, images, sigma=SIGMAS, **made.options).per_image()
    weights = (classifier[1].weight[0] - classifier[1].weight[1]).detach()
    margins = (images.floats().flatten(1).double() @ weights + classifier[1].bias[0] - classifier[1].bias[1]).abs()
    for sigma in SIGMAS[1:]:
        known = found[f"p_taylor_{sigma:g}"] < 1 - 1e-9
        radius = sigma * stats.norm.ppf(found[f"p_taylor_{sigma:g}"])
        np.testing.assert_allclose(radius[known], (margins / weights.norm()).detach().numpy()[known], rtol=1e-6)
        assert known.sum() > 20


def test_ten_classes_stay_within_the_bound_of_what_is_left_out(made):
    """Taylor follows all nine rivals; MMSE three, and says how much too high it may be."""
    images = made.drawn(40, classes=10)
    classifier = made.linear(images)
    result = ga.trust_radius(classifier, images, sigma=(0.3,), copies=400, **made.options)
    expected, found = exact(classifier, images, 0.3), result.per_image()
    np.testing.assert_allclose(found["p_taylor_0.3"], expected, atol=5e-3)
    assert result.left_out["taylor"][0] == result.left_out["moments"][0] == 0
    too_high = (found["p_mmse_0.3"] - expected).mean()
    assert 0 < too_high < result.left_out["mmse"][0] * 1.2


def test_monte_carlo_is_not_held_against_an_exact_estimate():
    """The squared error is right in the mean for any estimate, however few the copies; without the correction it is not."""
    rng = np.random.default_rng(0)
    copies, truth = 8, rng.uniform(0, 1, 200_000)
    kept = rng.binomial(copies, truth) / copies
    for off in (0.0, 0.05, -0.3):
        found = squared_error(truth + off, kept, copies)
        assert found.mean() == pytest.approx(off**2, abs=4 * found.std() / math.sqrt(len(found)))
        assert np.square(truth + off - kept).mean() > off**2 + 0.015
    assert root_mean_square(squared_error(truth, kept, copies))[0] < 0.02
    assert math.sqrt(np.square(truth - kept).mean()) > 0.12


def test_the_moments_are_judged_by_copies_that_they_have_not_seen(made):
    """With few copies they are off by chance, and must not look better for sharing Monte Carlo's noise."""
    images = made.drawn(400, classes=2)
    classifier = made.linear(images)
    result = ga.trust_radius(classifier, images, sigma=(0.5,), copies=8, **made.options)
    off = np.square(moments_of(result) - exact(classifier, images, 0.5)[None]).mean()
    assert off > 0.005
    row = result.table.iloc[0]
    assert row["error_moments"] == pytest.approx(math.sqrt(off), abs=0.02)
    assert row["error_taylor"] < 0.03


def moments_of(result):
    """The estimate of each half of the copies, (2, N)."""
    return unpack(result.details["moments"])[0]


@pytest.mark.filterwarnings("ignore:.*gradient of zero everywhere")
def test_a_constant_classifier_is_predicted(made):
    images = made.drawn(40)
    classifier = made.Logits(lambda flat: 0 * flat[:, :3] + flat.new_tensor([0.1, 0.3, 0.3]))
    result = ga.trust_radius(classifier, images, sigma=SIGMAS, **made.options)
    for name in ("explained", "p_mc", "p_taylor", "p_mmse", "p_moments"):
        assert (result.table[name] == 1).all()
    for name in ("taylor", "mmse", "moments"):
        assert (result.table[f"error_{name}_high"] == 0).all()
    assert result.verdict.label == "wide"
    assert any("zero everywhere" in caveat for caveat in result.verdict.caveats)


def test_a_margin_that_never_changes_counts_by_its_sign(made):
    """Class 1 follows class 0 at a distance, so that only class 2 can be reached; its own two-class probability is left."""
    images = made.drawn(30)
    direction = torch.randn(64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def logits(flat):
        height = flat @ direction
        return torch.stack([height + 40, height + 39, -height], dim=1)

    result = ga.trust_radius(made.Logits(logits), images, sigma=(0.5,), **made.options)
    margin = 2 * (images.floats().flatten(1).double() @ direction) + 40
    assert (margin > 0).all()
    expected = stats.norm.cdf(margin / (0.5 * 2 * direction.norm()))
    np.testing.assert_allclose(result.per_image()["p_taylor_0.5"], expected, atol=1e-9)
    np.testing.assert_allclose(result.per_image()["p_mmse_0.5"], expected, atol=1e-9)
    assert (result.per_image()["nearest"] == 2).all()


def test_the_bayes_classifier_of_equal_gaussians_is_linear():
    mixture = ga.gaussian_mixture(classes=3, spread=0.4, seed=0)
    images = mixture.sample(60, seed=1)
    result = ga.trust_radius(mixture.bayes_classifier(), images, sigma=(0.1, 0.5), copies=100, device="cpu")
    assert result.table["explained"].min() == pytest.approx(1, abs=1e-6)
    assert result.table["p_mc"].min() < 0.95
    for name in ("taylor", "mmse"):
        assert (result.table[f"error_{name}"] < 0.03).all()
    flat = images.floats().flatten(1).double()
    distance = (flat[:, None] - mixture.means[None]).square().sum(2)
    own = distance.argmin(1)
    gaps = mixture.means[None] - mixture.means[own][:, None]
    away = (distance - distance.min(1, keepdim=True).values) / 2 / gaps.norm(dim=2)  # to the plane between two means
    nearest = away.masked_fill(gaps.norm(dim=2) == 0, float("inf")).min(1)
    assert result.per_image()["nearest"].tolist() == nearest.indices.tolist()
    alone = stats.norm.cdf(nearest.values / 0.5)  # if there were no other rival
    assert (result.per_image()["p_taylor_0.5"] <= alone + 1e-3).all()


def test_a_quadratic_margin_has_closed_forms(made):
    """margin = b + a.x + c |x|^2, so the miss is c |n|^2: E = c^2 s^4 F(F + 2), beside s^2 |a + 2cx|^2 of the linear part."""
    images = made.drawn(300, classes=2)
    features, sigma, curvature = 64, 0.3, 0.05
    slope = torch.randn(features, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / 8
    classifier = made.against_zero(lambda flat: 5 + flat @ slope + curvature * flat.square().sum(1))
    result = ga.trust_radius(classifier, images, sigma=(0.03, sigma), copies=400, **made.options)
    flat = images.floats().flatten(1).double()
    for one in (0.03, sigma):
        linear = one**2 * (slope + 2 * curvature * flat).square().sum(1)
        missed = curvature**2 * one**4 * features * (features + 2)
        share = (linear / (linear + missed)).numpy()
        assert 0.3 < share.mean() < 0.999
        np.testing.assert_allclose(result.per_image()[f"explained_{one:g}"].mean(), share.mean(), atol=0.01)


def test_the_error_of_a_margin_that_is_quadratic_in_one_pixel_is_known(made):
    """margin = b + a u - c u^2 of the pixel u: it is kept between the two roots, which the normal law gives exactly."""
    images = made.drawn(300, classes=2)
    a, b, c, sigma = 1.0, 0.4, 1.5, 0.5
    result = ga.trust_radius(
        made.against_zero(lambda flat: b + a * flat[:, 0] - c * flat[:, 0] ** 2), images, sigma=(sigma,), copies=200, **made.options
    )
    u = images.floats().flatten(1)[:, 0].double().numpy()
    low, high = (a + sign * math.sqrt(a * a + 4 * b * c) for sign in (-1, 1))
    inside = stats.norm.cdf((high / (2 * c) - u) / sigma) - stats.norm.cdf((low / (2 * c) - u) / sigma)
    margin = b + a * u - c * u * u
    truth = np.where(margin >= 0, inside, 1 - inside)
    taylor = stats.norm.cdf(np.abs(margin) / (sigma * np.abs(a - 2 * c * u)))
    np.testing.assert_allclose(result.per_image()[f"p_taylor_{sigma:g}"], taylor, atol=1e-6)
    row = result.table.iloc[0]
    assert row["p_mc"] == pytest.approx(truth.mean(), abs=0.01)
    expected = math.sqrt(np.square(taylor - truth).mean())
    assert expected > 0.15
    assert row["error_taylor"] == pytest.approx(expected, abs=0.01)
    assert row["error_taylor_low"] < expected < row["error_taylor_high"]


def test_the_averaged_gradient_is_steins(made):
    """grad E[f(x + n)] = E[f(x + n) n] / sigma^2, each side by draws of its own."""
    images = made.drawn(3, classes=3)
    classifier = made.network(images).double()
    sigma, draws = 0.2, 40_000
    around = Surroundings(classifier, images, (sigma,), 8, 1, 2, 0, 256, torch.device("cpu"))
    own, rivals = torch.zeros(3, dtype=torch.int64), torch.tensor([[1, 2]] * 3)
    x = images.floats()
    noise = normal(generators(x, 7), x[:, None].expand(-1, 2000, -1, -1, -1))
    with frozen(classifier):
        averaged = around.averaged(x, sigma * noise, own, rivals)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for place in range(3):
            n = torch.randn(draws, 64, generator=generator, dtype=torch.float64)
            there = classifier(x[place : place + 1].double() + sigma * n.view(-1, 1, 8, 8))
            here = classifier(x[place : place + 1].double())
            for turn in range(2):
                margin = (there[:, 0] - there[:, turn + 1]) - (here[:, 0] - here[:, turn + 1])  # less a constant: less noise
                terms = margin[:, None] * n / sigma
                stein, error = terms.mean(0), terms.std(0) / math.sqrt(draws)
                far = (averaged.gradients[place, turn] - stein) / error
                assert far.abs().max() < 5
                assert 0.7 < far.std() < 1.4  # of the size of its standard error, not a hundredth of it
                assert averaged.values[place, turn] == pytest.approx(float((there[:, 0] - there[:, turn + 1]).mean()), abs=0.1)


def test_a_curve_is_crossed_where_it_first_falls():
    sigmas = [0.01, 0.1, 1.0]
    assert crossing(sigmas, np.array([0.9, 0.7, 0.6]), 0.5) == 1.0
    assert crossing(sigmas, np.array([0.4, 0.7, 0.6]), 0.5) == 0.0
    assert crossing(sigmas, np.array([0.9, 0.1, 0.8]), 0.5) == pytest.approx(10**-1.5)
    assert crossing(sigmas, np.array([0.9, 0.5, 0.4]), 0.5) == pytest.approx(0.1)
    assert crossing(sigmas, np.array([0.6, 0.55, 0.3]), 0.5) == pytest.approx(10**-0.8)
    assert math.isnan(crossing(sigmas, np.array([0.6, np.nan, 0.3]), 0.5))
