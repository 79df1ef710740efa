"""A guided step against the plain way, and the samplers where the answer is known."""

import math
from contextlib import suppress
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from gradaudit.diffusion import Denoiser, gaussian_mixture
from gradaudit.diffusion.adapters import variance_preserving
from gradaudit.diffusion.networks.unet import unet
from gradaudit.diffusion.preconditioning import Preconditioned
from gradaudit.errors import InputError
from gradaudit.instruments.counterfactual.guidance import Process
from gradaudit.instruments.counterfactual.guidance.adaptive import AdaptivePull
from gradaudit.instruments.counterfactual.guidance.process import Estimate, Level
from gradaudit.instruments.counterfactual.guidance.sampling import bound_sampler
from gradaudit.instruments.counterfactual.guidance.unets import prepared
from gradaudit.instruments.counterfactual.guidance.views import _homographies, augmented
from gradaudit.instruments.counterfactual.guidance.walk import Step
from gradaudit.instruments.counterfactual.methods.dvce import dvce
from gradaudit.instruments.counterfactual.problem import Problem
from gradaudit.noise import normal

SHAPE, IMAGES = (1, 8, 8), 3


class Learned(nn.Module):
    """Predicts noise and a variance's share, from x_t and t."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 2, 3, padding=1), nn.Tanh())

    def forward(self, noisy, steps, labels):
        return self.layers(noisy + steps[:, None, None, None] / 1000)


def classifier(seed):
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(6 * 64, 4))
    return layers.eval().requires_grad_(False)


def denoisers():
    torch.manual_seed(0)
    learned = variance_preserving(Learned(), "cosine", shape=SHAPE)
    torch.manual_seed(1)
    network = unet(SHAPE, 0, widths=(8, 16))
    for weight in network.parameters():  # its last layer is zero at first
        nn.init.normal_(weight, std=0.1)
    return {"learned variance": learned, "sigma": Denoiser(Preconditioned(network, 0), shape=SHAPE)}


def problem(denoiser=None, robust=True, images=IMAGES):
    originals = torch.rand(images, *SHAPE, generator=torch.Generator().manual_seed(2))
    targets = torch.arange(images) % 4
    return Problem(classifier(3), originals, targets, tuple(range(images)), denoiser, classifier(4) if robust else None)


# --- the plain way: a pass to guide and a pass to sample, three backward passes, image by image ---


def plain_walk(task, steps, start, cs, ds, p, cone, views, variance):
    denoiser, finals = task.denoiser, []
    for index, source in enumerate(task.sources()):
        x, target = task.images[index : index + 1], int(task.targets[index])
        if hasattr(denoiser.denoise, "alphas_cumprod"):
            abars = denoiser.denoise.alphas_cumprod
        else:
            abars = (1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)).cumprod(0)
        chosen = np.rint(np.linspace(0, 999, steps)).astype(int)[: round(steps * start)][::-1]
        keeps = [float(abars[step]) for step in chosen]
        noisy = math.sqrt(keeps[0]) * (2 * x - 1) + math.sqrt(1 - keeps[0]) * normal([source], x)
        for number, keep in enumerate(keeps):
            clean, eps, share = plain_estimate(denoiser, noisy, int(chosen[number]), keep)
            if number == len(keeps) - 1:
                finals.append(((clean + 1) / 2).clamp(0, 1))
                break
            pull = plain_pull(task, index, noisy, int(chosen[number]), keep, eps, source, cs, ds, p, cone, views, target)
            before = keeps[number + 1]
            beta = 1 - keep / before
            tilde = beta * (1 - before) / (1 - keep)
            spread = tilde if variance == "fixed_small" else torch.exp(share * math.log(beta) + (1 - share) * math.log(tilde))
            mean = math.sqrt(before) * beta / (1 - keep) * clean + math.sqrt(1 - beta) * (1 - before) / (1 - keep) * noisy
            noisy = mean + spread * pull + torch.as_tensor(spread).sqrt() * normal([source], x)
    return torch.cat(finals)


def plain_estimate(denoiser, noisy, step, keep):
    with torch.no_grad():
        if hasattr(denoiser.denoise, "predict"):
            eps, share = denoiser.denoise.predict(noisy, torch.tensor([step]))
            return (noisy - math.sqrt(1 - keep) * eps) / math.sqrt(keep), eps, share
        clean = plain_clean(denoiser, noisy, step, keep)
        return clean, (noisy - math.sqrt(keep) * clean) / math.sqrt(1 - keep), None


def plain_clean(denoiser, noisy, step, keep):
    if hasattr(denoiser.denoise, "predict"):
        eps, _ = denoiser.denoise.predict(noisy, torch.tensor([step]))
        return (noisy - math.sqrt(1 - keep) * eps) / math.sqrt(keep)
    return 2 * denoiser((noisy / math.sqrt(keep) + 1) / 2, math.sqrt((1 - keep) / keep) / 2) - 1


def plain_pull(task, index, noisy, step, keep, eps, source, cs, ds, p, cone, views, target):
    leaf = noisy.clone().requires_grad_()
    images = (plain_clean(task.denoiser, leaf, step, keep) + 1) / 2
    seen = augmented(images, views, [source])
    logs = [network(seen).log_softmax(1)[:, target].mean() for network in (task.classifier, task.robust)]
    losses = [*logs, (images - task.images[index : index + 1]).abs().pow(p).sum() ** (1 / p)]
    v, w, d = (torch.autograd.grad(loss, leaf, retain_graph=True)[0].double() for loss in losses)
    if math.degrees(math.acos(float((v * w).sum() / v.norm() / w.norm()))) > cone:
        across = w - (w * v).sum() / (v * v).sum() * v
        w = v / v.norm() + math.tan(math.radians(cone)) * across / across.norm()
    return (eps.norm() * (cs * w / w.norm() - ds * d / d.norm())).float()


@pytest.mark.parametrize("kind", ["learned variance", "sigma"])
@pytest.mark.parametrize(("views", "p", "cone"), [(1, 1.0, 30.0), (3, 1.5, 60.0), (2, 2.0, 10.0)])
def test_one_pass_and_three_products_give_the_plain_ways_images(kind, views, p, cone):
    task = problem(denoisers()[kind])
    found = dvce(task, steps=20, start=0.4, views=views, p=p, cone=cone)
    variance = "fixed_small" if kind == "sigma" else "learned"
    expected = plain_walk(task, 20, 0.4, 0.3, 0.15, p, cone, views, variance)
    assert (found.images - expected).abs().max() < 1e-4
    assert (found.images - task.images).abs().max() > 0.1
    assert found.failed == (None,) * IMAGES


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0])
def test_the_gradient_of_the_distance_is_autograds_and_zero_where_nothing_changed(p):
    task = problem()
    leaf = torch.rand(IMAGES, *SHAPE).requires_grad_()
    (expected,) = torch.autograd.grad(torch.linalg.vector_norm((leaf - task.images).flatten(1), p, dim=1).sum(), leaf)
    pull = AdaptivePull(task, p=p)
    assert torch.allclose(pull.gradients(leaf, task.sources()).distance, expected, atol=1e-5)
    assert (pull.gradients(task.images, task.sources()).distance == 0).all()


@pytest.mark.parametrize("kind", ["learned variance", "sigma"])
def test_strengths_are_shares_of_the_noises_length_in_every_guidance(kind):
    task = problem(denoisers()[kind], robust=False)
    process = Process(task.denoiser)
    level = process.levels(20, 0.5)[0]
    noisy = process.noised(task.images, level, normal(task.sources(), task.images))
    for guidance in ("exact", "combined", "none"):
        guided = dvce(task, steps=20, start=0.1, guidance=guidance)
        assert guided.failed == (None,) * IMAGES
        taken = []
        sampler_point(task, process, level, noisy, AdaptivePull(task, 0.3, 0.0, guidance=guidance), taken)
        estimate, force = taken[0]
        assert torch.allclose(force.flatten(1).norm(dim=1), 0.3 * estimate.noise.flatten(1).norm(dim=1), rtol=1e-4)


def sampler_point(task, process, level, noisy, pull, taken):
    from gradaudit.instruments.counterfactual.guidance.walk import Point, _product

    leaf = noisy.clone().requires_grad_()
    with prepared(task.denoiser, task.images, False):
        estimate = process.estimate(leaf, level, None)
        images = process.pixels.outer(estimate.clean)
        point = Point(
            images.detach(),
            estimate.noise.detach(),
            partial(_product, images, leaf),
            task.sources(),
            lambda: torch.zeros_like(images),
            1.0,
        )
        taken.append((estimate, pull(point)[0]))


def test_a_denoiser_of_any_kind_gives_the_same_estimate():
    network = denoisers()["learned variance"].denoise.network
    own = variance_preserving(network, "linear", shape=SHAPE)
    wrapped = Denoiser(lambda noisy, sigma, labels: own(noisy, sigma, labels), shape=SHAPE)
    noisy = torch.randn(IMAGES, *SHAPE)
    for level in Process(own).levels(50, 0.5)[::6]:
        first, second = Process(own).estimate(noisy, level, None), Process(wrapped).estimate(noisy, level, None)
        assert torch.allclose(first.clean, second.clean, atol=1e-4)
        assert torch.allclose(first.noise, second.noise, atol=1e-4)
        assert first.share is not None
        assert second.share is None


def test_levels_are_the_respaced_schedules_lower_part():
    levels = Process(denoisers()["sigma"]).levels(200, 0.5)
    assert len(levels) == 100
    assert [levels[-1].step, levels[0].step] == [0, 497]
    assert all(after.keep > before.keep for before, after in pairwise(levels))
    assert Process(denoisers()["sigma"]).levels(1000, 1.0)[0].step == 999


def test_levels_below_what_the_denoiser_knows_fall_away_and_a_start_above_is_refused():
    class Ranged(nn.Module):
        sigma_range = (0.1, 1.0)

        def forward(self, noisy, sigma, labels):
            return noisy

    process = Process(Denoiser(Ranged()))
    levels = process.levels(100, 0.4)
    assert 0.0999 < process.sigma(levels[-1]) < 0.13
    with pytest.raises(InputError, match=r"`start` \(=1.0\) must be one whose noise"):
        process.levels(100, 1.0)


# --- samplers, on data whose flow is known ---

MIXTURE = gaussian_mixture(classes=2, shape=SHAPE, spread=0.1, seed=5)


def walked(name, guide, levels, noisy, seed=0):
    generator = torch.Generator().manual_seed(seed)
    fresh = lambda: torch.randn(noisy.shape, generator=generator, dtype=noisy.dtype)  # noqa: E731
    return bound_sampler(name, "auto")(guide, noisy, levels, fresh)


def unguided(process, labels, noisy, level):
    estimate: Estimate = process.estimate(noisy, level, labels)
    return Step(estimate.clean, estimate.noise, None, torch.zeros_like(noisy))


def towards_class(process, labels, noisy, level):
    """The unconditional estimate, pulled by the difference of the two scores."""
    free, given = process.estimate(noisy, level, None), process.estimate(noisy, level, labels)
    return Step(free.clean, free.noise, None, (free.noise - given.noise) / level.spread)


@pytest.mark.parametrize(("sampler", "order"), [("ddim", 1), ("second_order", 2)])
def test_a_deterministic_sampler_follows_the_flow_at_its_order(sampler, order):
    process, labels = Process(MIXTURE.denoiser()), torch.zeros(20, dtype=torch.int64)
    noisy = torch.randn(20, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    runs = [walked(sampler, partial(unguided, process, labels), even_levels(count), noisy) for count in (80, 160, 320)]
    # One Gaussian: the flow divides each deviation from the mean by the factor that its own deviation shrinks by.
    mean, deviation = 2 * MIXTURE.means[0].reshape(SHAPE) - 1, 2 * 0.1
    first, last = even_levels(2)
    widths = [math.sqrt(level.keep * deviation**2 + 1 - level.keep) for level in (first, last)]
    arrived = last.signal * mean + widths[1] / widths[0] * (noisy - first.signal * mean)
    expected = process.estimate(arrived, last, labels).clean
    errors = [float((run - expected).abs().mean()) for run in runs]
    for coarse, fine in pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.2)


def even_levels(count, high=3.0, low=-2.0):
    """Levels at even distances of log(spread / signal)."""
    return [Level(0, 1 / (1 + math.exp(2 * value))) for value in np.linspace(high, low, count)]


@pytest.mark.parametrize("sampler", ["ddim", "second_order"])
def test_guided_by_the_difference_of_scores_the_way_is_that_of_the_class(sampler):
    process, labels = Process(MIXTURE.denoiser()), torch.ones(6, dtype=torch.int64)
    levels = process.levels(50, 0.8)
    noisy = torch.randn(6, *SHAPE, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    guided = walked(sampler, partial(towards_class, process, labels), levels, noisy)
    expected = walked(sampler, partial(unguided, process, labels), levels, noisy)
    ends = (process.estimate(expected, levels[-1], None).clean - process.estimate(expected, levels[-1], labels).clean).abs().max()
    assert torch.allclose(guided, expected, atol=1e-8 + 2 * float(ends))


@pytest.mark.parametrize(("sampler", "low", "high"), [("ddpm", 0.09, 0.1), ("ddpm(variance=fixed_large)", 0.1, 0.11)])
def test_ancestral_samples_have_the_mean_and_nearly_the_deviation_of_the_data(sampler, low, high):
    # The small variance is right for a single point, the large one for pure noise: the data lie between.
    count = 400
    process, labels = Process(MIXTURE.denoiser()), torch.zeros(count, dtype=torch.int64)
    noisy = torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found = process.pixels.outer(walked(sampler, partial(unguided, process, labels), process.levels(250, 1.0), noisy)).flatten(1)
    assert torch.allclose(found.mean(0), MIXTURE.means[0], atol=5 * 0.1 / math.sqrt(count))
    assert low < float(found.std(0).mean()) < high


def test_a_learned_variance_is_asked_of_those_that_have_one():
    with pytest.raises(InputError, match=r"`variance`.*no learned variance"):
        dvce(problem(denoisers()["sigma"]), steps=10, variance="learned")
    task = problem(denoisers()["learned variance"])
    learned, small = (dvce(task, steps=10, variance=variance).images for variance in ("learned", "fixed_small"))
    assert torch.equal(learned, dvce(task, steps=10).images)
    assert not torch.equal(learned, small)


# --- views ---


def test_views_are_the_image_itself_and_what_its_own_generator_draws():
    images = torch.rand(3, 2, 6, 9)
    sources = lambda: [np.random.default_rng(seed) for seed in range(3)]  # noqa: E731
    found = augmented(images, 4, sources()).unflatten(0, (3, 4))
    assert torch.equal(found[:, 0], images)
    alone = augmented(images[2:], 4, sources()[2:])
    assert torch.allclose(alone, found[2], atol=1e-6)
    assert augmented(images, 1, []) is images
    assert not torch.allclose(found[0, 1], found[0, 2], atol=0.01)


def test_a_view_is_its_homography_pixel_by_pixel():
    height, width = 6, 9
    image = torch.rand(1, 1, height, width, dtype=torch.float64)
    seen = augmented(image, 2, [np.random.default_rng(4)])[1, 0]
    (matrix,) = _homographies(np.random.default_rng(4), 1, height / width)
    for row in range(height):
        for column in range(width):
            x, y, depth = matrix @ [(2 * column + 1) / width - 1, (2 * row + 1) / height - 1, 1.0]
            across = min(max((x / depth + 1) * width / 2 - 0.5, 0), width - 1)
            down = min(max((y / depth + 1) * height / 2 - 0.5, 0), height - 1)
            assert float(seen[row, column]) == pytest.approx(bilinear(image[0, 0], down, across), abs=1e-9)


def bilinear(image, down, across):
    top, left = min(int(down), image.shape[0] - 2), min(int(across), image.shape[1] - 2)
    y, x = down - top, across - left
    upper = (1 - x) * image[top, left] + x * image[top, left + 1]
    lower = (1 - x) * image[top + 1, left] + x * image[top + 1, left + 1]
    return float((1 - y) * upper + y * lower)


def test_views_differ_by_no_more_than_15_degrees_and_a_tenth_of_the_side():
    drawn = _homographies(np.random.default_rng(0), 2000, 1.0)
    turns = np.degrees(np.arctan2(drawn[:, 1, 0], drawn[:, 0, 0]))
    assert 14.5 < np.abs(turns).max() <= 15
    assert 0.19 < np.abs(drawn[:, :2, 2]).max() <= 0.2  # coordinates are 2 wide
    assert np.allclose(np.linalg.det(drawn[:, :2, :2]), 1)


# --- diffusers' U-Nets ---


def test_a_u_net_is_laid_out_for_the_walk_and_left_as_it_was():
    task = problem(denoisers()["sigma"])
    network = task.denoiser.denoise.network.unet
    weights = {name: (weight.clone(), weight.stride(), weight.requires_grad) for name, weight in network.named_parameters()}
    with suppress(RuntimeError), prepared(task.denoiser, task.images, True):
        assert network.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
        assert network.is_gradient_checkpointing
        assert not network.conv_in.weight.requires_grad
        raise RuntimeError("the walk breaks off")
    assert not network.is_gradient_checkpointing
    for name, weight in network.named_parameters():
        assert torch.equal(weight, weights[name][0])
        assert (weight.stride(), weight.requires_grad) == weights[name][1:]


@pytest.mark.parametrize("guidance", ["exact", "combined"])
def test_activations_computed_again_change_nothing(guidance):
    task = problem(denoisers()["sigma"])
    kept, again = (dvce(task, steps=10, guidance=guidance, checkpointing=choice).images for choice in (False, True))
    assert torch.allclose(kept, again, atol=1e-6)
