"""PGD's restarts, and random starts that are the image's own."""

import pytest
import torch
from scipy.stats import kstest
from torch import nn
from torch.nn import functional as F

from gradaudit.errors import InputError
from gradaudit.noise import generators
from gradaudit.training.objectives.adversarial import adversarial
from gradaudit.training.perturbations import climb, pgd, uniform_in_ball

SHAPE = (1, 6, 6)
ATTACK = {"eps": 0.15, "steps": 2, "step_size": 0.05}


def network():
    torch.manual_seed(2)
    return nn.Sequential(nn.Conv2d(1, 6, 3), nn.Tanh(), nn.Flatten(), nn.Linear(96, 3)).double().eval()


def batch(count=12):
    images = torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return images, network()(images).argmax(dim=1)  # all right at first


def losses(model, images, labels):
    return F.cross_entropy(model(images), labels, reduction="none")


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_with_a_seed_an_images_example_is_its_own_whatever_the_batch(norm):
    model, (images, labels) = network(), batch()
    attack = {"norm": norm, "restarts": 3, "seed": 5, **ATTACK, "eps": 0.15 if norm == "linf" else 0.6}
    torch.manual_seed(0)
    together = pgd(model, images, labels, **attack)
    order = torch.randperm(12)
    torch.manual_seed(1)
    assert torch.allclose(pgd(model, images[order], labels[order], **attack), together[order], rtol=0, atol=1e-12)
    for size in (1, 5):
        parts = [pgd(model, *part, **attack) for part in zip(images.split(size), labels.split(size), strict=True)]
        assert torch.allclose(torch.cat(parts), together, rtol=0, atol=1e-12)
    assert not torch.allclose(pgd(model, images, labels, **(attack | {"seed": 6})), together)


def test_a_seed_leaves_torchs_random_state_alone():
    model, (images, labels) = network(), batch()
    before = torch.get_rng_state()
    pgd(model, images, labels, norm="linf", seed=0, **ATTACK)
    assert torch.equal(torch.get_rng_state(), before)


def tries(model, image, label, norm, eps, count):
    """The attacks on one image (1, C, H, W), one after another."""
    sources = generators(image, 3)
    for _ in range(count):
        start = (image + uniform_in_ball(image, norm, eps, sources)).clamp(0, 1)
        yield climb(lambda moved: losses(model, moved, label).sum(), image, start, norm=norm, eps=eps, steps=2, step=eps / 3)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_of_the_restarts_the_first_that_misleads_is_kept_else_the_worst(norm):
    model, (images, labels) = network(), batch()
    kinds = set()
    for eps in (0.03, 0.1, 0.4, 1.0):
        found = pgd(model, images, labels, norm=norm, eps=eps, steps=2, step_size=eps / 3, restarts=4, seed=3)
        for place, (image, label) in enumerate(zip(images.split(1), labels.split(1), strict=True)):
            moved = list(tries(model, image, label, norm, eps, 4))
            misled = [bool(model(each).argmax() != label) for each in moved]
            worst = max(range(4), key=lambda number: losses(model, moved[number], label).item())
            expected = misled.index(True) if any(misled) else worst
            assert torch.allclose(found[place : place + 1], moved[expected], rtol=0, atol=1e-12)
            kinds.add((any(misled), expected > 0))
    assert kinds >= {(True, False), (False, True), (False, False)}


def test_restarts_never_lower_the_loss_of_an_image_that_stays_right():
    model, (images, labels) = network(), batch(60)
    one, many = (pgd(model, images, labels, norm="linf", seed=0, restarts=count, **ATTACK) for count in (1, 6))
    wrong = [model(moved).argmax(dim=1) != labels for moved in (one, many)]
    assert bool((wrong[1] | ~wrong[0]).all())
    assert int(wrong[1].sum()) >= int(wrong[0].sum())
    right = ~wrong[1]
    assert bool((losses(model, many, labels) >= losses(model, one, labels))[right].all())
    assert bool((losses(model, many, labels) > losses(model, one, labels))[right].any())


def test_an_image_that_is_wrong_from_the_start_is_attacked_once():
    calls = []

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network()

        def forward(self, images):
            calls.append(len(images))
            return self.inner(images)

    images, labels = batch()
    pgd(Counting(), images, (labels + 1) % 3, norm="linf", restarts=50, seed=0, eps=1e-4, steps=2)
    assert calls == [12, 12, 12]


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_restarts_work_whatever_the_callers_gradient_mode(context):
    model, (images, labels) = network(), batch()
    expected = pgd(model, images, labels, norm="linf", restarts=3, seed=0, **ATTACK)
    with context():
        assert torch.equal(pgd(model, images.clone(), labels, norm="linf", restarts=3, seed=0, **ATTACK), expected)


def test_the_examples_of_adversarial_training_are_the_restarts_too():
    model, (images, labels) = network(), batch()
    torch.manual_seed(4)
    found = adversarial(model, images, labels, norm="linf", restarts=3, **ATTACK)
    torch.manual_seed(4)
    moved = pgd(model, images, labels, norm="linf", restarts=3, **ATTACK)
    assert found.item() == pytest.approx(losses(model, moved, labels).mean().item())


def test_an_images_own_random_points_fill_the_ball_uniformly():
    images = torch.rand(3000, 1, 2, 3, generator=torch.Generator().manual_seed(0))
    in_l2 = uniform_in_ball(images, "l2", 2.0, generators(images, 0)).flatten(1)
    assert kstest((in_l2.norm(dim=1).double() / 2) ** 6, "uniform").pvalue > 0.01
    assert float(in_l2.mean(dim=0).abs().max()) < 0.07
    in_linf = uniform_in_ball(images, "linf", 2.0, generators(images, 1))
    assert kstest(in_linf.flatten().double() / 2, "uniform", args=(-1, 2)).pvalue > 0.01


@pytest.mark.parametrize(
    ("options", "argument"),
    [({"restarts": 0}, "restarts"), ({"restarts": 2, "random_start": False}, "restarts"), ({"seed": 0.5}, "seed")],
)
def test_a_bad_argument_is_named(options, argument):
    with pytest.raises(InputError, match=rf"^`{argument}` "):
        pgd(network(), *batch(), norm="l2", eps=0.1, **options)
