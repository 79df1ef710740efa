"""Blended diffusion against its loss, and on a Gaussian mixture."""

import math
from dataclasses import replace
from functools import partial
from importlib.util import find_spec

import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.diffusion import gaussian_mixture
from gradaudit.errors import InputError, MissingExtraError
from gradaudit.instruments.counterfactual.guidance.blended import LossPull
from gradaudit.instruments.counterfactual.guidance.walk import Point, _product
from gradaudit.instruments.counterfactual.methods.blended import blended
from gradaudit.instruments.counterfactual.problem import Problem

SHAPE = (1, 6, 6)
MIXTURE = gaussian_mixture(classes=3, shape=SHAPE, spread=0.05, seed=1)
QUICK = {"steps": 40, "start": 0.6}


class Squares(nn.Module):
    """A stand-in for LPIPS: the mean squared distance of two pictures."""

    def forward(self, first, second):
        return (first - second).square().mean(dim=(1, 2, 3), keepdim=True)


def problem(images=8):
    originals, labels = MIXTURE.draw(images, seed=3)
    classifier = MIXTURE.bayes_classifier(0.2).eval()
    return Problem(classifier, originals.clamp(0, 1), (labels + 1) % 3, tuple(range(images)), MIXTURE.denoiser())


def test_the_pull_is_the_published_losss_gradient_through_the_denoiser():
    task = problem(3)
    noisy = torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(1)).requires_grad_()
    clean = 1.5 * task.denoiser(noisy, 0.3) - 0.25  # some of it leaves the range
    logs = task.classifier(clean).log_softmax(1).gather(1, task.targets[:, None])[:, 0]
    inner, original = 2 * clean - 1, 2 * task.images - 1
    size = 36 / (3 * 256 * 256)
    mse = (inner - original).square().mean(dim=(1, 2, 3))
    outside = (inner - inner.clamp(-1, 1)).square().mean(dim=(1, 2, 3))
    enlarged = [nn.functional.interpolate(x, (32, 32), mode="bilinear") for x in (inner, original)]
    perceived = (enlarged[0] - enlarged[1]).square().mean(dim=(1, 2, 3))
    loss = -25 * logs + size * (1e6 * mse + 5e5 * outside + 1e5 * perceived)
    (expected,) = torch.autograd.grad(loss.sum(), noisy, retain_graph=True)
    pull = LossPull(task, 25, 1e6, 5e5, 1e5, Squares())
    point = Point(
        clean.detach(),
        torch.zeros_like(clean),
        partial(_product, clean, noisy),
        task.sources(),
        lambda: torch.zeros_like(clean),
        1.0,
    )
    assert torch.allclose(pull(point)[0], -expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("options", [{}, {"views": 2}, {"conditional": True}, {"lpips_strength": 10.0, "network": Squares()}])
def test_counterfactuals_reach_the_target(options):
    task = problem()
    found = blended(task, **QUICK, **options)
    away = torch.cdist(found.images.flatten(1).double(), MIXTURE.means)
    assert (away.argmin(1) == task.targets).all()
    assert found.failed == (None,) * 8
    assert found.steps.keys() == {"confidence", "distance", "class_norm", "distance_norm"}


def test_a_stronger_distance_keeps_images_closer():
    task = problem()
    ways = [blended(task, **QUICK, l2_strength=strength).images for strength in (0.0, 1e5, 1e6)]
    lengths = [float((images - task.images).flatten(1).norm(dim=1).mean()) for images in ways]
    assert lengths[0] > lengths[1] > lengths[2]


def test_a_batch_changes_nothing():
    task = problem(3)
    whole = blended(task, **QUICK).images
    alone = replace(task, images=task.images[1:2], targets=task.targets[1:2], keys=task.keys[1:2])
    assert torch.allclose(blended(alone, **QUICK).images, whole[1:2], atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_strength": -1}, "`class_strength`"),
        ({"l2_strength": math.inf}, "`l2_strength`"),
        ({"range_strength": -1}, "`range_strength`"),
        ({"lpips_strength": -1, "network": Squares()}, "`lpips_strength`"),
        ({"views": 0}, "`views`"),
        ({"steps": 0}, "`steps`"),
        ({"variance": "learned"}, "`variance`"),
    ],
)
def test_a_bad_option_is_named(options, message):
    with pytest.raises(InputError, match=message):
        blended(problem(1), **options)


def test_a_denoiser_is_asked_for():
    with pytest.raises(InputError, match=r"`denoiser`.*blended"):
        blended(replace(problem(1), denoiser=None))


@pytest.mark.skipif(find_spec("lpips") is not None, reason="the package lpips is installed")
def test_lpips_asks_for_its_package():
    with pytest.raises(MissingExtraError, match=r"gradaudit\[lpips\]"):
        blended(problem(1), lpips_strength=1000)


def test_a_whole_run_of_a_classifier_that_takes_no_images_too(tmp_path):
    """Options are tried on no images first, which have no first one to measure."""
    classifier = MIXTURE.bayes_classifier(0.2).float()
    found = ga.counterfactual(
        classifier,
        MIXTURE.sample(3, seed=5),
        "second",
        MIXTURE.denoiser(),
        method="blended(steps=20)",
        store=tmp_path,
        device="cpu",
    )
    assert (found.table["failed"] == "").all()
