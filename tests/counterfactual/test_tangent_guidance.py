"""Pulls along the manifold, and several steps on the estimate, against closed forms."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.diffusion.autoencoder import Autoencoder
from gradaudit.errors import InputError
from gradaudit.instruments.costs import Cost
from gradaudit.instruments.counterfactual.arguments import resolve_methods
from gradaudit.instruments.counterfactual.guidance.adaptive import GUIDANCE, AdaptivePull
from gradaudit.instruments.counterfactual.guidance.tangent import projection
from gradaudit.instruments.counterfactual.guidance.walk import Point
from gradaudit.instruments.counterfactual.instrument import cost_of
from gradaudit.instruments.counterfactual.methods.dvce import dvce
from gradaudit.instruments.counterfactual.problem import Problem
from gradaudit.instruments.tangents import PASSES

SHAPE, FEATURES, COUNT = (1, 6, 6), 36, 4
MIXTURE = ga.gaussian_mixture(classes=3, shape=SHAPE, intrinsic_dim=5, spread=0.1, normal_std=0.03, seed=1)
EXACT = partial(ga.tangent_spaces, source=MIXTURE, device="cpu")
QUICK = {"steps": 20, "class_strength": 0.8, "guidance": "tangent"}


def problem(robust=True, count=COUNT, classifier=None):
    originals, labels = MIXTURE.draw(count, seed=3)
    helper = MIXTURE.bayes_classifier(0.1).eval() if robust else None
    own = classifier or MIXTURE.bayes_classifier().eval()
    return Problem(own, originals.clamp(0, 1), (labels + 1) % 3, tuple(range(count)), MIXTURE.denoiser(), helper)


def linear(seed=0):
    """Two logits, w x and 0: the gradient of either log-probability lies along w."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(FEATURES, 2, bias=False))
    weight = torch.randn(FEATURES, generator=torch.Generator().manual_seed(seed))
    module[1].weight.data = torch.stack([weight, 0 * weight])
    return module.eval().requires_grad_(False)


def linear_problem(count=COUNT):
    return replace(problem(robust=False, count=count, classifier=linear()), targets=torch.zeros(count, dtype=torch.int64))


def point(task, reach=0.4):
    generator = torch.Generator().manual_seed(7)
    images = (task.images + 0.1 * torch.randn(task.images.shape, generator=generator)).detach()
    noise = torch.randn(task.images.shape, generator=generator)
    evidence = torch.randn(task.images.shape, generator=generator)
    return Point(images, noise, lambda gradient: gradient, task.sources(), lambda: evidence, reach)


def all_directions(images):
    return torch.linalg.qr(torch.randn(len(images), FEATURES, FEATURES, generator=torch.Generator().manual_seed(1))).Q


# --- onto the tangent space ---


@pytest.mark.parametrize("options", [{}, {"join": "consensus", "cone": 90.0}, {"helper": "denoiser"}, {"helper": "none", "p": 2.0}])
def test_a_pull_has_no_part_off_the_exact_tangent_space_and_the_noises_length(options):
    task = problem()
    place = point(task)
    pull, told = AdaptivePull(task, 0.5, 0.2, guidance="tangent", spaces=EXACT, **options)(place)
    bases = MIXTURE.tangent_spaces(place.images)
    flat = pull.flatten(1)
    off = flat - torch.einsum("ntf,nt->nf", bases, torch.einsum("ntf,nf->nt", bases, flat))
    assert (off.norm(dim=1) < 1e-5 * flat.norm(dim=1)).all()
    assert (flat.norm(dim=1) > 0).all()
    assert (told["tangent_share"] < 0.95).all()
    if options == {}:
        alone, _ = AdaptivePull(task, 0.5, 0.0, guidance="tangent", spaces=EXACT)(place)
        assert torch.allclose(alone.flatten(1).norm(dim=1), 0.5 * place.noise.flatten(1).norm(dim=1), rtol=1e-4)


def test_of_a_linear_classifier_pull_and_share_are_in_closed_form():
    task = linear_problem()
    place = point(task)
    pull, told = AdaptivePull(task, 0.5, 0.0, guidance="tangent", spaces=EXACT)(place)
    weight = task.classifier[1].weight[0].double()
    bases = MIXTURE.tangent_spaces(place.images.double())
    along = torch.einsum("ntf,nt->nf", bases, bases @ weight)
    expected = 0.5 * place.noise.flatten(1).norm(dim=1)[:, None] * along / along.norm(dim=1, keepdim=True)
    assert torch.allclose(pull.flatten(1).double(), expected, atol=1e-5)
    assert torch.allclose(told["tangent_share"].double(), along.norm(dim=1) / weight.norm(), atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"helper": "none", "views": 2}, {"join": "consensus"}, {"inner_steps": 3}])
def test_along_all_directions_it_is_guidance_without_a_product_bit_for_bit(options):
    task = problem()
    plain = dvce(task, **QUICK | {"guidance": "none"}, **options)
    found = dvce(task, **QUICK, tangents=all_directions, **options)
    assert torch.equal(found.images, plain.images)
    assert (found.steps["tangent_share"][:, :-1] == 1).all()
    assert all(torch.equal(found.steps[name].nan_to_num(), values.nan_to_num()) for name, values in plain.steps.items())


@pytest.mark.parametrize(("tangents", "count"), [(EXACT, 12), ("denoiser(sigma=0.1, dimensions=5)", 3)])
def test_images_walk_to_their_target_along_the_manifold(tangents, count):
    task = problem(count=count)
    found = dvce(task, **QUICK | {"steps": 60}, tangents=tangents)
    assert found.failed == (None,) * count
    with torch.no_grad():
        assert (task.classifier(found.images).argmax(1) == task.targets).double().mean() > 0.8
    assert ((found.steps["tangent_share"][:, :-1] > 0) & (found.steps["tangent_share"][:, :-1] < 1)).all()


def test_a_batch_changes_nothing():
    task = problem()
    whole = dvce(task, **QUICK, tangents="denoiser(sigma=0.1, dimensions=5)")
    alone = replace(task, images=task.images[2:3], targets=task.targets[2:3], keys=task.keys[2:3])
    found = dvce(alone, **QUICK, tangents="denoiser(sigma=0.1, dimensions=5)")
    assert torch.allclose(found.images, whole.images[2:3], atol=1e-5)


def test_an_estimate_that_is_not_finite_fails_alone():
    exact = MIXTURE.denoiser()
    calls = []

    def breaking(noisy, sigma, labels):
        calls.append(len(noisy))
        clean = exact.denoise(noisy, sigma, labels)
        return torch.where(torch.arange(len(noisy))[:, None, None, None] == 1, torch.nan, clean) if len(calls) == 4 else clean

    found = dvce(replace(problem(), denoiser=ga.Denoiser(breaking, shape=SHAPE)), **QUICK, tangents=EXACT)
    assert [reason is None for reason in found.failed] == [True, False, True, True]
    assert "step 4 of 10" in found.failed[1]


@pytest.mark.parametrize(
    ("tangents", "message"),
    [
        ("tea", "`tangents`"),
        ("neighbours", r"`tangents`.*partial\(ga.tangent_spaces"),
        ("denoiser(dimensions=99)", "`dimensions`.*from 1 to 36"),
        ("denoiser(colour=3)", "`source`.*colour"),
        ("missing.safetensors", "`path`.*exists"),
        (lambda images: torch.ones(len(images), 3, FEATURES), "`tangent_spaces`.*orthonormal"),
        (partial(ga.tangent_spaces, source=Autoencoder((1, 8, 8), latent=3, width=4), device="cpu"), r"\(N, 1, 8, 8\)"),
    ],
)
def test_what_gives_no_tangent_spaces_is_refused_before_any_walk(tangents, message):
    calls = []

    def asked(noisy, sigma, labels):
        calls.append(sigma)
        return MIXTURE.denoiser().denoise(noisy, sigma, labels)

    task = replace(problem(), denoiser=ga.Denoiser(asked, shape=SHAPE))
    with pytest.raises(InputError, match=message):
        dvce(task, **QUICK, tangents=tangents)
    assert not calls


def test_other_guidance_does_not_read_the_spaces():
    assert dvce(problem(count=1), **QUICK | {"guidance": "none"}, tangents="missing.safetensors").failed == (None,)


def test_a_projection_keeps_what_lies_in_the_space_and_drops_the_rest():
    bases = torch.eye(FEATURES)[None, :3].repeat(2, 1, 1)
    vectors = torch.arange(2.0 * FEATURES).reshape(2, *SHAPE)
    found = projection(bases)(vectors).flatten(1)
    assert torch.equal(found[:, :3], vectors.flatten(1)[:, :3])
    assert (found[:, 3:] == 0).all()


def test_a_file_or_an_image_set_that_changed_is_another_method(tmp_path):
    file = str(tmp_path / "it.safetensors")
    marks = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        ga.save_autoencoder(file, Autoencoder((1, 8, 8), latent=3, width=4))
        (method,) = resolve_methods({"name": "dvce", "guidance": "tangent", "tangents": file}).values()
        marks.append(method.fingerprint)
    for seed in (0, 1):
        function = partial(ga.tangent_spaces, source=MIXTURE.sample(60, seed=seed))
        (method,) = resolve_methods({"name": "dvce", "guidance": "tangent", "tangents": function}).values()
        marks.append(method.fingerprint)
        assert "0x" not in method.name
    assert len(set(marks)) == 4


# --- several steps on the estimate ---


@pytest.mark.parametrize("guidance", ["none", "combined", "exact"])
def test_one_inner_step_is_the_pull_itself_bit_for_bit(guidance):
    task = problem()
    place = point(task)
    pull = AdaptivePull(task, guidance=guidance)
    whole, told = pull(place)
    expected, diagnostics = GUIDANCE[guidance](pull, place, pull.gradients(place.images, task.sources()), None)
    assert torch.equal(whole, expected)
    assert all(torch.equal(told[name], diagnostics[name]) for name in diagnostics)


def test_several_inner_steps_on_a_linear_classifier_follow_the_recurrence():
    """The class pulls along w at every place; the L2 distance along the way from the original, which the steps change."""
    task = linear_problem()
    place = point(task)
    steps, reach, pulls, away = 5, place.reach, 0.5, 0.2
    found, _ = AdaptivePull(task, pulls, away, p=2.0, guidance="none", inner_steps=steps)(place)
    weight = task.classifier[1].weight[0].double().numpy()
    for row in range(COUNT):
        moved, original, noise = (part[row].double().flatten().numpy() for part in (place.images, task.images, place.noise))
        total = np.zeros(FEATURES)
        for _ in range(steps):
            apart = moved - original
            part = np.linalg.norm(noise) * (pulls * weight / np.linalg.norm(weight) - away * apart / np.linalg.norm(apart)) / steps
            moved, total = moved + reach * part, total + part
        assert np.allclose(found[row].double().flatten().numpy(), total, atol=1e-5)
    once, _ = AdaptivePull(task, pulls, away, p=2.0, guidance="none")(place)
    assert (found - once).abs().max() > 0.01
    along, straight = (AdaptivePull(task, pulls, 0.0, guidance="none", inner_steps=count)(place)[0] for count in (steps, 1))
    assert torch.allclose(along, straight, atol=1e-6)


def test_a_pulls_reach_is_how_far_the_sampler_moves_the_estimate():
    """DDIM to (almost) no noise ends at x0_hat moved by the pull's reach."""
    task, seen = linear_problem(), []

    class Noted(AdaptivePull):
        def __call__(self, where):
            pull, told = super().__call__(where)
            seen.append(where.images + where.reach * pull)
            return pull, told

    from gradaudit.instruments.counterfactual.guidance import Process, guided_diffusion
    from gradaudit.instruments.counterfactual.guidance.sampling import bound_sampler

    process = Process(task.denoiser)
    levels = [process.levels(1000, 0.3)[0], process.levels(1000, 0.3)[-1]]
    end = guided_diffusion(
        task, process=process, levels=levels, pull=Noted(task, guidance="none"), sampler=bound_sampler("ddim", "auto")
    )
    # What the exact denoiser makes of the arrival is, to its small noise, its projection on the component's subspace.
    arrived = task.denoiser(seen[0], process.sigma(levels[-1]))
    assert (end.images - arrived.clamp(0, 1)).abs().max() < 0.02
    assert (seen[0] - task.images).abs().max() > 0.1


def test_regions_hold_for_inner_steps_too():
    region = torch.zeros(COUNT, 1, *SHAPE[1:], dtype=torch.bool)
    region[..., :3] = True
    task = replace(linear_problem(), region=region)
    found = dvce(task, **QUICK | {"guidance": "none"}, inner_steps=3)
    assert torch.equal(found.images[..., 3:], task.images[..., 3:])
    assert not torch.equal(found.images[..., :3], task.images[..., :3])


@pytest.mark.parametrize("steps", [0, 1.5, "many"])
def test_inner_steps_are_a_whole_number(steps):
    with pytest.raises(InputError, match="`inner_steps`"):
        dvce(problem(count=1), **QUICK, inner_steps=steps)


# --- costs ---


def cost(text):
    (method,) = resolve_methods(text).values()
    return cost_of(method, 10, MIXTURE.sample(20))


def test_passes_are_counted():
    plain, inner = cost("dvce(steps=40, guidance=exact)"), cost("dvce(steps=40, guidance=exact, inner_steps=4)")
    assert (plain.gradients, plain.denoised) == (400, 400 * 4 // 2)
    assert (inner.gradients, inner.denoised) == (1600, 400 * 13 // 2)
    tangent = cost('dvce(steps=40, guidance=tangent, tangents="denoiser(dimensions=2)")')
    assert tangent.denoised == 200 + 200 * (2 + 8) * 4 * PASSES
    timed = cost({"name": "dvce", "steps": 40, "guidance": "tangent", "tangents": EXACT})
    assert isinstance(timed, Cost)
    assert timed.denoised == 200
    assert timed.besides > 0
