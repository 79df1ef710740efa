"""Where other libraries define the same thing, they have the same numbers; the largest differences stand in docs/peers.md.

On LeNet-5s that somebody else trained where their weights are at hand, else on the package's own classifier of digits. Of Quantus'
fidelity, patches and imputation: tests/fidelity/test_against_libraries.py.
"""

import copy
import os
from pathlib import Path

import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.instruments.alignment.similarities.ssim import ssim
from gradaudit.instruments.counterfactual.measures._frechet import frechet
from gradaudit.noise import generators, normal

WEIGHTS, DATA = os.environ.get("GRADAUDIT_WEIGHTS"), os.environ.get("GRADAUDIT_DATA")
pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:UserWarning")
COUNT = 64


def installed(name, extra):
    return pytest.importorskip(name, reason=f"{name} is not installed: pip install {extra}")


def largest(what, found, expected):
    difference = float((found.double() - expected.double()).abs().max())
    print(f"{what}: largest difference {difference:.1e}")
    return difference


def published(name):
    shared = WEIGHTS is not None and DATA is not None
    if name == "the zoo's":
        return ga.load_classifier("zoo:mnist/robust")
    if not shared:
        pytest.skip("GRADAUDIT_WEIGHTS and GRADAUDIT_DATA don't name the weights' and data's folders")
    return ga.load_classifier("lenet5", Path(WEIGHTS) / f"mnist_lenet5_{name}.pt")


@pytest.fixture(scope="module", params=["the zoo's", "clntrained", "advtrained"], name="case")
def case_fixture(request):
    """A classifier, images and labels."""
    classifier = published(request.param).eval()
    _, test = ga.load_images("mnist", folder=DATA) if DATA else ga.load_images("mnist5k")
    return classifier, test.sample(COUNT).floats(), test.sample(COUNT).labels


@pytest.mark.parametrize("eps", [0.1, 0.3])
def test_pgd_is_torchattacks(case, eps):
    attacks = installed("torchattacks", "torchattacks")
    classifier, images, labels = case
    theirs = attacks.PGD(classifier, eps=eps, alpha=eps / 8, steps=20, random_start=False)(images, labels)
    ours = ga.pgd(classifier, images, labels, norm="linf", eps=eps, steps=20, step_size=eps / 8, random_start=False)
    check_alike(f"PGD, torchattacks, eps {eps}", classifier, ours, theirs, labels)


@pytest.mark.parametrize(("norm", "attack", "eps"), [("linf", "LinfPGD", 0.1), ("linf", "LinfPGD", 0.3), ("l2", "L2PGD", 2.0)])
def test_pgd_is_foolbox(case, norm, attack, eps):
    foolbox = installed("foolbox", "foolbox")
    classifier, images, labels = case
    if norm == "l2":  # in single precision, rounding grows from step to step, up to 0.3 after 20
        classifier, images = copy.deepcopy(classifier).double(), images.double()
    found = getattr(foolbox.attacks, attack)(abs_stepsize=eps / 8, steps=20, random_start=False)
    bounded = foolbox.PyTorchModel(classifier, bounds=(0, 1), device="cpu")
    theirs = found.run(bounded, images, foolbox.criteria.Misclassification(labels), epsilon=eps)
    ours = ga.pgd(classifier, images, labels, norm=norm, eps=eps, steps=20, step_size=eps / 8, random_start=False)
    check_alike(f"{norm} PGD, foolbox, eps {eps}", classifier, ours, theirs, labels)


def check_alike(what, classifier, ours, theirs, labels):
    with torch.no_grad():
        kept = [(classifier(moved).argmax(1) == labels).float().mean().item() for moved in (ours, theirs)]
    print(f"{what}: accuracy {kept[0]:.3f} and {kept[1]:.3f}")
    assert largest(what, ours, theirs) < 1e-6
    assert kept[0] == kept[1]


def test_integrated_gradients_are_captums(case):
    captum = installed("captum.attr", "captum")
    classifier, images, labels = case
    test = ga.ImageSet((images * 255).round().byte(), labels, tuple("0123456789"))
    ours = ga.attribute_all(classifier, test, "integrated_gradients(steps=50)", device="cpu", warn=False)
    theirs = captum.IntegratedGradients(classifier).attribute(test.floats(), target=labels, n_steps=50, method="gausslegendre")
    assert largest("integrated gradients, Captum", ours, theirs.detach()) < 1e-5 * float(theirs.abs().max())


def test_smoothgrad_is_captums_under_the_same_noise(case, monkeypatch):
    captum = installed("captum.attr", "captum")
    classifier, images, labels = case
    test = ga.ImageSet((images * 255).round().byte(), labels, tuple("0123456789"))
    pixels, sources = test.floats(), generators(test.floats(), 0)
    drawn = torch.stack([0.2 * normal(sources, pixels) for _ in range(5)], dim=1)
    ours = ga.attribute_all(classifier, test, "smoothgrad(samples=5, noise=0.2)", device="cpu")
    with monkeypatch.context() as patched:
        patched.setattr(torch, "normal", lambda mean, spread: drawn.flatten(0, 1).view_as(spread))
        theirs = captum.NoiseTunnel(captum.Saliency(classifier)).attribute(
            pixels, nt_type="smoothgrad", nt_samples=5, stdevs=0.2, target=labels, abs=False
        )
    assert largest("SmoothGrad, Captum", ours, theirs.detach()) < 1e-5 * float(theirs.abs().max())


def test_ssim_is_torchmetrics():
    metrics = installed("torchmetrics.image", "torchmetrics")
    first, second = (torch.randn(6, 3, 20, 20, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    second = first + 0.3 * second
    unit = [maps.double() / maps.double().abs().amax((1, 2, 3), keepdim=True) for maps in (first, second)]
    module = metrics.StructuralSimilarityIndexMeasure(data_range=2.0, reduction="none")
    assert largest("SSIM, torchmetrics", ssim(first, second), module(*unit)) < 1e-6


class Features(nn.Module):
    """What stands in for Inception: 24 linear features of an image."""

    num_features = 24

    def __init__(self):
        super().__init__()
        self.weight = torch.randn(3 * 64, 24, generator=torch.Generator().manual_seed(0)) / 8

    def forward(self, images):
        return images.flatten(1) @ self.weight


@pytest.mark.parametrize("count", [20, 200])  # fewer images than features, and more
def test_frechet_distance_is_torchmetrics(count):
    metrics = installed("torchmetrics.image.fid", "torchmetrics")
    real, other = (torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    other = (other + 0.1 * real).clamp(0, 1)
    network = Features()
    distance = metrics.FrechetInceptionDistance(feature=network, normalize=False, input_img_size=(3, 8, 8))
    distance.set_dtype(torch.float64)
    network.weight = network.weight.double()
    distance.inception = network
    distance.update(real.double(), real=True)
    distance.update(other.double(), real=False)
    ours = frechet(network(real.double()), network(other.double()))
    assert largest(f"FID of {count} images, torchmetrics", ours[None], distance.compute()[None]) < 1e-6
