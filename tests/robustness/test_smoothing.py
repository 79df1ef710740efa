"""Certificates and average-case robustness against the closed forms of a linear classifier."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, norm
from torch import nn

import gradaudit as ga
from gradaudit.instruments.robustness.attacks.smoothing import certified_radius, smoothing
from gradaudit.instruments.robustness.result import certified_curve


def distances(linear, module, images):
    """From each image to the boundary, negative on the wrong side."""
    return (linear.margins(module, images) / linear.slope(module, "l2")).numpy()


def test_radii_are_the_distance_to_the_boundary_of_a_linear_classifier(linear):
    module, images = linear.classifier(scale=8), linear.images(25)
    exact = distances(linear, module, images)
    found = ga.robustness(module, images, eps=0.0, attack="smoothing(sigma=0.2, n=4000)", device="cpu").certificates(
        "smoothing(n=4000, sigma=0.2)"
    )
    clear = abs(exact) > 0.05  # of the others the class may be abstained from
    assert clear.sum() > 15
    own = np.where(exact > 0, images.labels, 1 - images.labels)
    assert np.array_equal(found["predicted"][clear], own[clear])
    radii = found["radius"].to_numpy()
    assert (radii <= abs(exact) + 1e-3).all()
    # The bound is alpha = 0.001 below the truth in probability: about 3.5 standard errors of the share, taken through the quantile.
    width = 0.2 * 7 * np.sqrt(norm.cdf(exact / 0.2) * norm.sf(exact / 0.2) / 4000) / norm.pdf(exact / 0.2)
    assert (radii[clear] >= (abs(exact) - width)[clear] - 1e-3).all()


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (500, 1000), (501, 1000), (600, 1000), (999, 1000), (1000, 1000)])
def test_the_radius_is_that_of_cohen_et_al(successes, n):
    # A one-sided interval of confidence 1 - alpha, by scipy.
    low = binomtest(successes, n, alternative="greater").proportion_ci(0.999, method="exact").low
    expected = 0.5 * norm.ppf(low) if low > 0.5 else 0.0
    assert certified_radius(successes, n, 0.5, 0.001) == pytest.approx(expected, abs=1e-9)
    assert certified_radius(n, n, 0.5, 0.001) == pytest.approx(0.5 * norm.ppf(0.001 ** (1 / n)))


def test_an_undecided_classifier_abstains(linear):
    module = linear.classifier()
    module[1].weight.data.zero_()
    module[1].bias.data.zero_()
    module.append(Noisy())
    found = smoothing(module, linear.images(4).floats(), n=200, n0=20)
    assert found["predicted"].tolist() == [-1] * 4
    assert found["radius"].tolist() == [0.0] * 4


class Noisy(nn.Module):
    def forward(self, logits):
        return logits + torch.randn(logits.shape, generator=torch.Generator().manual_seed(len(logits)))


def test_certified_accuracy_is_the_share_of_right_certificates_beyond_the_radius(linear):
    module, images = linear.classifier(scale=8), linear.images(60)
    radii = (0.0, 0.05, 0.1, 0.2)
    result = ga.robustness(module, images, eps=radii, attack="smoothing(n=200)", device="cpu")
    found = result.certificates("smoothing(n=200)")
    right = found["predicted"] == found["label"]
    assert result.table["accuracy"].tolist() == [(right & (found["radius"] >= eps)).mean() for eps in radii]
    assert result.table["norm"].unique().tolist() == ["l2"]
    assert 0 < result.table["accuracy"].iloc[-1] < result.table["accuracy"].iloc[0] < 1
    places, shares = certified_curve(found)
    for eps in (0.03, 0.11, 0.3):
        assert shares[np.searchsorted(places, eps, side="right") - 1] == pytest.approx((right & (found["radius"] > eps)).mean())


def test_another_list_of_radii_certifies_nothing_anew(linear, tmp_path):
    module, images = linear.classifier(), linear.images(10)
    options = {"attack": "smoothing(n=100)", "store": tmp_path / "s", "device": "cpu"}
    ga.robustness(module, images, eps=(0.0, 0.1), **options)
    before = sorted((tmp_path / "s").rglob("*.json"))
    ga.robustness(module, images, eps=(0.05, 0.2), **options)
    assert sorted((tmp_path / "s").rglob("*.json")) == before


def test_neighbours_of_a_linear_classifier_keep_the_class_as_the_normal_law_says(linear):
    module, images = linear.classifier(), linear.images(20)
    exact = abs(distances(linear, module, images))
    result = ga.robustness(module, images, eps=(0.0, 0.05, 0.2), attack="gaussian(samples=2000)", device="cpu")
    for eps, shares in zip((0.05, 0.2), result.details["shares"]["gaussian(samples=2000)"][1:], strict=True):
        expected = norm.cdf(exact / eps)
        assert abs(np.array(shares) - expected).max() < 5 * 0.5 / np.sqrt(2000)
        assert result.table.set_index("eps")["accuracy"][eps] == pytest.approx(np.mean(shares))
    assert result.table["accuracy"][0] == 1  # even where the class is wrong: it is kept
    assert result.table["norm"].unique().tolist() == ["std"]


@pytest.mark.parametrize("attack", ["smoothing(n=60, n0=10)", "gaussian(samples=30)"])
def test_the_seed_decides_the_noise(linear, attack):
    module, images = linear.classifier(), linear.images(12)
    first, again, other = (
        ga.robustness(module, images, eps=0.3, attack=attack, seed=seed, device="cpu").details for seed in (0, 0, 1)
    )
    assert first == again
    assert (first["shares"], first["certificates"]) != (other["shares"], other["certificates"])
