"""Attributions that promise to add up to something, and those of them that don't: named once, with the figure."""

import os
import runpy
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import gradaudit as ga
from gradaudit.attributions import check_complete, resolve_attribution
from gradaudit.attributions._completeness import TOLERANCE, missed, promise_of

IMAGES = ga.ImageSet(
    torch.randint(0, 256, (20, 1, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)),
    torch.arange(20) % 3,
    ("a", "b", "c"),
)
EXACT = ("integrated_gradients", "captum(DeepLift)", "captum(DeepLiftShap)", "captum(IntegratedGradients)")
SUMS = [
    *EXACT,
    "integrated_gradients(baseline=0.4)",
    "captum(DeepLift, baselines=0.3)",
    "captum(IntegratedGradients, baselines=0.3)",
]


class Network(nn.Module):
    """A convolution, a ReLU and a linear layer; the ReLU is a module unless told otherwise."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(1, 8, 3, bias=bias)
        self.relu = nn.ReLU()
        self.last = nn.Linear(128, 3, bias=bias)

    def activated(self, maps: torch.Tensor) -> torch.Tensor:
        return self.relu(maps)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.last(self.activated(self.convolution(images)).flatten(1))


class Functional(Network):
    def activated(self, maps: torch.Tensor) -> torch.Tensor:
        return F.relu(maps)


class OnTheFly(Network):
    def activated(self, maps: torch.Tensor) -> torch.Tensor:
        return nn.ReLU()(maps)


def linear():
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 3))


def misses(classifier, attribution):
    """By how much, on all images, with the sums written out."""
    found, pixels, targets = resolve_attribution(attribution), IMAGES.floats(), IMAGES.labels
    scores = found.function(classifier, pixels.clone(), targets)
    return missed(scores, promise_of(found)(classifier, pixels, targets).total)


def by_hand(classifier, scores, baselines):
    """The mean magnitude of what is missed, as a share of that of the gain from the baselines, on the images that are tried."""
    which = [0, 2, 5, 8, 10, 13, 16, 19]
    with torch.no_grad():
        gain = classifier(IMAGES.floats(which)) - torch.stack([classifier(one[None]) for one in baselines]).mean(0)
    gain = gain.gather(1, IMAGES.labels[which][:, None])[:, 0]
    return float((scores[which].flatten(1).sum(1) - gain).abs().mean() / gain.abs().mean())


@pytest.mark.parametrize("attribution", [*SUMS, "captum(GradientShap, n_samples=4000)"])
def test_a_linear_classifier_misses_nothing(attribution):
    share = misses(linear(), attribution)
    assert share < (0.05 if "GradientShap" in attribution else 1e-6)


@pytest.mark.parametrize("attribution", ["captum(DeepLift)", "captum(DeepLiftShap)", "captum(DeepLift, baselines=0.3)"])
def test_deep_lift_is_complete_where_each_relu_is_a_module_of_its_own(attribution):
    assert misses(Network(), attribution) < 1e-5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ga.attribute_all(Network(), IMAGES, attribution, device="cpu")


@pytest.mark.parametrize("made", [Functional, OnTheFly])
@pytest.mark.parametrize(
    ("method", "baselines"), [("DeepLift", torch.zeros(1, 1, 6, 6)), ("DeepLiftShap", torch.linspace(0, 1, 5).view(5, 1, 1, 1))]
)
def test_deep_lift_on_relus_that_it_does_not_know_is_named_with_by_how_much_it_misses(made, method, baselines):
    attribution = f"captum(method={method})"
    with pytest.warns(ga.CompletenessWarning, match=r"an nn.ReLU\(\) made in __init__") as told:
        scores = ga.attribute_all(made(), IMAGES, attribution, device="cpu")
    share = by_hand(made(), scores, baselines.expand(-1, 1, 6, 6))
    assert share > 0.1
    (said,) = [str(one.message) for one in told]
    assert said.startswith(f"scores of {attribution} do not add up to the logit less that at the baseline")
    assert f"on 8 images they miss it by {share:.0%} on average" in said


def test_few_steps_are_named():
    class Steep(nn.Module):
        def forward(self, images):
            return torch.stack([(20 * images.flatten(1).mean(1) - 5).sigmoid(), images.flatten(1).mean(1)], 1)

    two = ga.ImageSet(IMAGES.images, IMAGES.labels * 0, ("a", "b"))
    with pytest.warns(ga.CompletenessWarning, match="take more steps"):
        ga.attribute_all(Steep(), two, "integrated_gradients(steps=2)", device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ga.attribute_all(Steep(), two, "integrated_gradients", device="cpu")


def test_lrp_promises_the_logit_where_no_bias_takes_a_part_of_it():
    assert misses(Network(bias=False), "captum(LRP)") < 1e-5
    assert promise_of(resolve_attribution("captum(LRP)"))(Network(), IMAGES.floats(), IMAGES.labels) is None


@pytest.mark.parametrize(
    "attribution",
    [
        "captum(LayerDeepLift)",
        "captum(DeepLift, multiply_by_inputs=false)",
        "captum(GradientShap, stdevs=0.1)",
        "captum(Occlusion)",
    ],
)
def test_what_promises_nothing_is_not_asked(attribution):
    assert promise_of(resolve_attribution(attribution))(Network(), IMAGES.floats(), IMAGES.labels) is None


def test_attributions_without_a_promise_are_not_computed_again():
    def gradient(classifier, images, targets):
        raise AssertionError("computed")

    assert check_complete(linear(), IMAGES, {"own": resolve_attribution(gradient)}, device="cpu") == ()


def test_trying_changes_no_draw():
    found = resolve_attribution("captum(GradientShap)", seed=3)
    model = Network()
    alone = ga.attribute_all(model, IMAGES, found, device="cpu", warn=False)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ga.CompletenessWarning)
        tried = ga.attribute_all(model, IMAGES, found, device="cpu")
    assert torch.equal(alone, tried)
    assert torch.equal(torch.get_rng_state(), before)


def test_rounding_misses_nothing_and_a_total_of_nothing_is_missed_by_everything():
    scores = torch.tensor([1e3, -1e3 + 1e-4]).view(1, 1, 1, 2)
    assert missed(scores, torch.zeros(1)) == 0
    assert missed(torch.ones(1, 1, 1, 2), torch.zeros(1)) == float("inf")
    assert missed(torch.ones(2, 1, 1, 2), torch.tensor([1.0, 4.0])) == pytest.approx(1.5 / 2.5)


WEIGHTS, DATA = os.environ.get("GRADAUDIT_WEIGHTS"), os.environ.get("GRADAUDIT_DATA")


@pytest.mark.slow
@pytest.mark.skipif(WEIGHTS is None or DATA is None, reason="GRADAUDIT_WEIGHTS and GRADAUDIT_DATA don't name the folders")
@pytest.mark.parametrize("attribution", ["integrated_gradients", "captum(DeepLift)"])
def test_what_published_networks_miss_is_within_the_tolerance(attribution):
    """On eight groups of eight test images each; the figures of docs/limits.md."""
    known = runpy.run_path(str(Path(__file__).parents[1] / "classifiers" / "test_published_weights.py"))
    cases = [("lenet5", f"mnist_lenet5_{one}trained.pt", None, known["mnist_test"]()) for one in ("cln", "adv")]
    cases += [(*case[:3], known["cifar_test"](100)) for case in known["CIFAR"]]
    found = resolve_attribution(attribution)
    for network, file, normalisation, (pixels, labels) in cases:
        shape = tuple(pixels.shape[1:])
        model = ga.load_classifier(network, Path(WEIGHTS) / file, input_shape=shape, normalisation=normalisation)
        which = torch.linspace(0, len(pixels) - 1, 64).long()
        groups = [(pixels[part].float() / 255, labels[part].long()) for part in which.split(8)]
        shares = [missed(found.function(model, *group), promise_of(found)(model, *group).total) for group in groups]
        print(f"{file}: {attribution} misses {sum(shares) / 8:.4f}, at most {max(shares):.4f}")
        assert max(shares) < TOLERANCE
