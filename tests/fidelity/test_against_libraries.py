"""The numbers of other libraries where they define the same thing: Captum's, and Quantus' where it is installed.

Quantus (`pip install quantus`) is no dependency: its tests skip without it. What it can be made to compute exactly as we do: ROAD's
accuracies and noisy linear imputation, pixel flipping's curves, and, of maps that are constant on patches, the faithfulness
estimate of single patches. Its region perturbation takes patches away one after the other, its selectivity, sufficiency, infidelity
and monotonicity are measures of another kind; none of these is here.
"""

import numpy as np
import pytest
import torch
from captum import attr
from scipy import stats
from torch import nn

import gradaudit as ga
from gradaudit.attributions import attribute_all
from gradaudit.fills import resolve_fill
from gradaudit.instruments.fidelity.patches import grid
from gradaudit.noise import generators, normal

REMOVED = (0.25, 0.5, 0.75)
LEVELS = tuple(1 - share for share in reversed(REMOVED))
ALONE = {"controls": (), "device": "cpu"}


def close(found, expected, most):
    """Equal up to `most`; the largest difference is printed."""
    difference = float(np.abs(np.asarray(found) - np.asarray(expected)).max())
    print(f"largest difference {difference:.1e}")
    assert difference < most


@pytest.fixture(name="case", params=[1, 3])
def case_fixture(made, request):
    """Images, a classifier and scores without ties."""
    images = made.drawn(24, channels=request.param)
    scores = torch.randn(24, *images.shape, generator=torch.Generator().manual_seed(2))
    return images, made.network(images), scores


def quantified(metric, classifier, images, scores, softmax=True):
    """What a metric of Quantus makes of all images at once."""
    return metric(
        model=classifier.eval(),
        x_batch=images.floats().numpy(),
        y_batch=images.labels.numpy(),
        a_batch=scores.abs().numpy(),
        softmax=softmax,
        device="cpu",
        batch_size=len(images),
    )


@pytest.fixture(name="quantus")
def quantus_fixture():
    return pytest.importorskip("quantus", reason="Quantus is not installed (pip install quantus)")


def test_integrated_gradients_are_captums(case):
    images, classifier, _ = case
    found = attribute_all(classifier, images, "integrated_gradients(steps=20, baseline=0.3)", device="cpu")
    theirs = attr.IntegratedGradients(classifier).attribute(
        images.floats(), baselines=0.3, target=images.labels, n_steps=20, method="gausslegendre"
    )
    close(found, theirs.detach(), 1e-6)


@pytest.mark.parametrize(("squared", "kind"), [(False, "smoothgrad"), (True, "smoothgrad_sq")])
def test_smoothgrad_is_captums_under_the_same_noise(case, monkeypatch, squared, kind):
    images, classifier, _ = case
    pixels, sources = images.floats(), generators(images.floats(), 0)
    drawn = torch.stack([0.2 * normal(sources, pixels) for _ in range(5)], dim=1)
    found = attribute_all(classifier, images, f"smoothgrad(samples=5, noise=0.2, squared={squared})", device="cpu")
    with monkeypatch.context() as patched:
        patched.setattr(torch, "normal", lambda mean, spread: drawn.flatten(0, 1).view_as(spread))
        theirs = attr.NoiseTunnel(attr.Saliency(classifier)).attribute(
            pixels, nt_type=kind, nt_samples=5, stdevs=0.2, target=images.labels, abs=False
        )
    close(found, theirs.detach(), 1e-6)


@pytest.mark.parametrize("fill", ["mean", "zero"])
def test_single_patches_are_captums_feature_ablation(case, fill):
    images, classifier, scores = case
    result = ga.fidelity(classifier, images, {"own": scores}, fill=fill, patches=4, **ALONE)
    patches = grid(4, images.shape)
    level = images.mean().view(1, -1, 1, 1) if fill == "mean" else torch.zeros(1, len(images.mean()), 1, 1)
    parts = (patches * torch.arange(len(patches))[:, None, None]).sum(0)
    ablation = attr.FeatureAblation(classifier).attribute(
        images.floats(), baselines=level.expand(1, *images.shape).contiguous(), target=images.labels, feature_mask=parts[None, None]
    )
    drops = np.stack([ablation[:, 0][:, patch][:, 0].detach() for patch in patches], axis=1)
    sums = np.stack([scores.sum(1)[:, patch].sum(1) for patch in patches], axis=1)
    expected = [stats.spearmanr(*pair).statistic for pair in zip(sums, drops, strict=True)]
    close(result.per_image("own")["spearman"], expected, 1e-9)


def test_noisy_linear_imputation_is_quantus(quantus, case):
    images, _, _ = case
    filled = resolve_fill("imputation(noise=0)", images)
    rng, differences = np.random.default_rng(0), []
    for place, share in enumerate((0.1, 0.3, 0.5, 0.7, 0.9, 0.95)):
        image = images.floats([place])
        removed = rng.permutation(64)[: round(share * 64)]
        mask = torch.ones(64, dtype=torch.bool)
        mask[removed] = False
        theirs = quantus.functions.perturb_func.noisy_linear_imputation(image[0].double().numpy(), removed, noise=0.0)
        ours = filled(image, mask.view(1, 1, 8, 8))[0]
        differences.append(np.abs(theirs.reshape(ours.shape) - ours.numpy()).max())
    close(differences, 0, 1e-4)


@pytest.mark.filterwarnings("ignore")  # Quantus' own
def test_road_accuracies_are_quantus(quantus, made):
    """Of classifiers that give the label their own answer to the whole image, so that the curve has somewhere to fall from."""
    images = made.drawn(200)
    classifier = made.network(images)
    with torch.no_grad():
        images = ga.ImageSet(images.images, classifier(images.floats()).argmax(1), images.classes)
    scores = attribute_all(classifier, images, "logit_gradient", device="cpu")
    metric = quantus.ROAD(percentages=[25, 50, 75], noise=0.0, normalise=False, disable_warnings=True)
    theirs = quantified(metric, classifier, images, scores)
    result = ga.fidelity(classifier, images, {"own": scores}, levels=LEVELS, fill="imputation(noise=0)", patches=0, **ALONE)
    ours = result.rows().set_index("level")["bottom"]
    assert 0.2 < ours.min() < ours.max() < 1
    close([ours[1 - share] for share in REMOVED], [theirs[percent] for percent in (25, 50, 75)], 1e-9)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("fill", ["zero", "mean"])
def test_pixel_flipping_is_quantus(quantus, made, fill):
    images = made.drawn(24)
    classifier = made.network(images)
    scores = torch.randn(24, *images.shape, generator=torch.Generator().manual_seed(2))
    baseline = {"zero": 0.0, "mean": float(images.mean())}[fill]
    metric = quantus.PixelFlipping(features_in_step=16, perturb_baseline=baseline, normalise=False, disable_warnings=True)
    curves = np.array(quantified(metric, classifier, images, scores))
    result = ga.fidelity(classifier, images, {"own": scores}, levels=LEVELS, fill=fill, patches=0, **ALONE)
    ours = result.per_image("own")
    found = np.stack([np.exp(ours[f"log_bottom_{1 - share:g}"]) for share in REMOVED], axis=1)
    close(found, curves[:, :3], 1e-6)
    area = result.orders.set_index("order").loc["most_relevant_first", "probability"]
    close(area, curves[:, :3].mean(), 1e-6)


@pytest.mark.filterwarnings("ignore")
def test_single_patches_are_quantus_faithfulness_estimate(quantus, made):
    """Of a map that is constant on each patch, four pixels a step are one patch."""
    images = made.drawn(24)
    classifier = made.network(images)
    heights = torch.rand(24, 1, 4, 4, generator=torch.Generator().manual_seed(3)) + 0.1
    scores = nn.functional.interpolate(heights, scale_factor=2)
    metric = quantus.FaithfulnessEstimate(
        features_in_step=4,
        similarity_func=quantus.functions.similarity_func.correlation_spearman,
        perturb_baseline=0.0,
        normalise=False,
        disable_warnings=True,
    )
    theirs = quantified(metric, classifier, images, scores, softmax=False)
    result = ga.fidelity(classifier, images, {"own": scores}, fill="zero", patches=4, **ALONE)
    close(result.per_image("own")["spearman"], theirs, 1e-6)
