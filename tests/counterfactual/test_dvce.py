"""DVCE on a Gaussian mixture, whose denoiser and classifier are exact."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from gradaudit.diffusion import Denoiser, gaussian_mixture
from gradaudit.errors import InputError
from gradaudit.instruments.counterfactual.methods.dvce import dvce
from gradaudit.instruments.counterfactual.problem import Problem

SHAPE = (1, 6, 6)
MIXTURE = gaussian_mixture(classes=3, shape=SHAPE, spread=0.05, seed=1)
IMAGES = 12
QUICK = {"steps": 40, "class_strength": 0.8}  # classes of so few coordinates are decided at little noise, and need a strong pull


def bayes(sigma=0.0):
    return MIXTURE.bayes_classifier(sigma).eval()


def problem(images=IMAGES, seed=0, robust=True, classifier=None, denoiser=None):
    originals, labels = MIXTURE.draw(images, seed=3)
    targets = (labels + 1) % 3
    keys = tuple(100 * seed + index for index in range(images))
    # The helper knows the classes at some noise, where its gradients are smoother.
    helper = bayes(0.1) if robust else None
    return Problem(classifier or bayes(), originals.clamp(0, 1), targets, keys, denoiser or MIXTURE.denoiser(), helper)


def landed(found, task):
    """The share in the target's component: nearer to its mean than to the others', and no further than its samples are."""
    away = torch.cdist(found.images.flatten(1).double(), MIXTURE.means)
    own = away.gather(1, task.targets[:, None])[:, 0]
    typical = MIXTURE.spread * math.sqrt(36)
    return float(((away.argmin(1) == task.targets) & (own < 1.5 * typical)).double().mean())


def change(found, task):
    return float((found.images - task.images).flatten(1).norm(dim=1).mean())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"guidance": "combined"},
        {"guidance": "none"},
        {"sampler": "ddim", "class_strength": 0.6},
        {"sampler": "second_order", "steps": 25, "class_strength": 0.6},
        {"inside": "classifier"},
        {"p": 1.5},
        {"p": 2.0},
        {"variance": "fixed_large", "class_strength": 0.6, "steps": 100},
        {"conditional": True, "start": 0.7},
    ],
)
def test_counterfactuals_land_in_the_targets_component(options):
    task = problem()
    found = dvce(task, **(QUICK | options))
    assert landed(found, task) > 0.9
    assert found.failed == (None,) * IMAGES
    with torch.no_grad():
        assert (task.classifier(found.images).argmax(1) == task.targets).all()


def test_without_a_robust_helper_they_land_as_well_and_there_are_no_angles():
    task = problem(robust=False)
    found = dvce(task, **QUICK)
    assert landed(found, task) == 1
    assert found.steps.keys() == {"confidence", "distance", "class_norm", "distance_norm"}


@pytest.mark.parametrize("p", [1.0, 2.0])
def test_the_distance_term_shortens_the_way(p):
    task = problem()
    ways = [dvce(task, **QUICK, distance_strength=strength, p=p) for strength in (0.0, 0.2, 0.4)]
    lengths = [change(found, task) for found in ways]
    assert lengths[0] > 1.02 * lengths[1] > 1.02**2 * lengths[2]
    assert landed(ways[1], task) == 1


def test_with_no_pull_towards_the_class_images_stay():
    task = problem()
    held = dvce(task, steps=40, class_strength=0.0, distance_strength=0.5)
    stayed = task.classifier(held.images).argmax(1) == task.classifier(task.images).argmax(1)
    assert stayed.double().mean() > 0.9


def test_the_same_keys_give_the_same_and_others_another():
    first, again, other = (dvce(problem(seed=seed), **QUICK).images for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert (first - other).abs().flatten(1).max(dim=1).values.min() > 0.01


@pytest.mark.parametrize("options", [{"views": 3}, {"sampler": "second_order"}])
def test_a_batch_changes_nothing(options):
    task = problem(4)
    whole = dvce(task, **(QUICK | options))
    for index in range(4):
        row = slice(index, index + 1)
        alone = replace(task, images=task.images[row], targets=task.targets[row], keys=task.keys[row])
        found = dvce(alone, **(QUICK | options))
        assert torch.allclose(found.images, whole.images[row], atol=1e-4)
        assert torch.allclose(found.steps["confidence"], whole.steps["confidence"][row], atol=1e-3)


def test_diagnostics_and_frames_say_how_it_went():
    task = problem()
    found = dvce(task, **(QUICK | {"steps": 80}))
    steps = found.steps
    assert {values.shape for values in steps.values()} == {(IMAGES, 40)}
    assert {values.dtype for values in steps.values()} == {torch.float32}
    assert (steps["angle_after"][:, :-1] <= 30.001).all()
    turned = steps["angle_before"] > 30
    assert turned.any()
    assert torch.allclose(steps["angle_after"][turned], torch.tensor(30.0), atol=1e-3)
    # The last step only denoises: what it has no gradient for is missing there, and its image is the counterfactual.
    assert steps["class_norm"][:, -1].isnan().all()
    confidence = task.classifier(found.images).softmax(1).gather(1, task.targets[:, None])[:, 0]
    assert torch.allclose(steps["confidence"][:, -1], confidence, atol=1e-3)
    assert torch.allclose(steps["distance"][:, -1], (found.images - task.images).abs().flatten(1).sum(1), rtol=1e-3)
    assert found.frames.shape == (IMAGES, 24, *SHAPE)
    assert torch.equal(found.frames[:, -1], (found.images * 255).round().to(torch.uint8))
    assert not torch.equal(found.frames[:, 0], found.frames[:, -1])


def test_fewer_steps_than_frames_give_a_frame_a_step():
    assert dvce(problem(2), steps=20).frames.shape[1] == 10


class Breaking(nn.Module):
    """A classifier whose logits of one row are NaN, or whose gradients alone are, from some call on."""

    def __init__(self, row, call, gradient_only):
        super().__init__()
        self.row, self.left, self.gradient_only = row, call, gradient_only
        self.inner = bayes()

    def forward(self, images):
        self.left -= 1
        logits = self.inner(images)
        if self.left > 0:
            return logits
        extra = torch.zeros_like(logits)
        # sqrt(0) has an infinite slope, and 0 times that is not a number.
        extra[self.row] = (images[self.row, 0, 0, 0] * 0).sqrt() if self.gradient_only else math.nan
        return logits + extra


@pytest.mark.parametrize("gradient_only", [True, False])
@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "second_order"])
def test_an_image_whose_gradients_break_fails_alone(gradient_only, sampler):
    options = QUICK | {"sampler": sampler}
    whole = dvce(problem(4, robust=False), **options)
    task = problem(4, robust=False, classifier=Breaking(2, 15, gradient_only))
    found = dvce(task, **options)
    others = [0, 1, 3]
    assert torch.equal(found.images[others], whole.images[others])
    assert torch.equal(found.images[2], task.images[2])
    assert [found.failed[index] for index in others] == [None] * 3
    assert "not finite at step 8 of 20" in found.failed[2]
    assert torch.equal(found.frames[2, -1], (task.images[2] * 255).round().to(torch.uint8))
    assert found.steps["confidence"][2, 7:].isnan().all()
    assert found.steps["confidence"][2, :7].isfinite().all()


def test_a_helper_that_breaks_fails_the_image_too():
    task = replace(problem(3), robust=Breaking(1, 5, True))
    found = dvce(task, **QUICK, views=1)
    assert found.failed[1] == "the gradient is not finite at step 5 of 20"
    assert found.failed[::2] == (None, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 1}, "`steps`.*from 2 to 1000"),
        ({"steps": 1001}, "`steps`.*from 2 to 1000"),
        ({"start": 0}, "`start`.*above 0"),
        ({"start": 1.1}, "`start`"),
        ({"class_strength": -1}, "`class_strength`.*0 or more"),
        ({"distance_strength": math.nan}, "`distance_strength`"),
        ({"p": 3}, "`p`.*from 1 to 2"),
        ({"cone": 91}, "`cone`.*0 to 90 degrees"),
        ({"inside": "both"}, "`inside`"),
        ({"views": 0}, "`views`"),
        ({"views": "many"}, "`views`"),
        ({"guidance": "half"}, '`guidance`.*"exact" or "combined" or "none"'),
        ({"sampler": "euler"}, "`sampler`.*ddim, ddpm, second_order"),
        ({"variance": "huge"}, "`variance`"),
        ({"variance": "huge", "sampler": "ddim"}, "`variance`"),
        ({"variance": "learned"}, "`variance`.*no learned variance"),
        ({"checkpointing": "often"}, "`checkpointing`"),
    ],
)
def test_a_bad_option_is_named(options, message):
    with pytest.raises(InputError, match=message):
        dvce(problem(1), **options)


def test_a_denoiser_is_asked_for_and_must_fit():
    with pytest.raises(InputError, match=r"`denoiser` \(=None\) must be given: dvce"):
        dvce(replace(problem(1), denoiser=None))
    other = gaussian_mixture(shape=(1, 8, 8)).denoiser()
    with pytest.raises(InputError, match=r"`denoiser`.*\(1, 8, 8\).*\(1, 6, 6\)"):
        dvce(problem(1, denoiser=other))


def test_a_denoiser_must_know_the_targets_that_it_is_told():
    exact = MIXTURE.denoiser().denoise
    with pytest.raises(InputError, match=r"`conditional`.*no classes"):
        dvce(problem(1, denoiser=Denoiser(lambda noisy, sigma, labels: exact(noisy, sigma, None))), conditional=True)
    few = Denoiser(exact, classes=1)
    with pytest.raises(InputError, match=r"`conditional`.*below 1"):
        dvce(problem(6, denoiser=few), conditional=True)


def test_a_denoiser_without_gradients_serves_the_guidance_that_needs_none():
    exact = MIXTURE.denoiser().denoise
    task = problem(4, denoiser=Denoiser(lambda noisy, sigma, labels: exact(noisy, sigma, labels).detach()))
    with pytest.raises(InputError, match=r"`denoiser` \(='function'\) must be differentiable"):
        dvce(task, **QUICK)
    assert landed(dvce(task, **QUICK, guidance="none"), task) == 1
