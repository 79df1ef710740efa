"""SVCE: the known optimum of a linear classifier, its ball, its frames, and images that fail."""

import math

import pytest
import torch
from torch import nn

from gradaudit.diffusion import gaussian_mixture
from gradaudit.errors import InputError
from gradaudit.instruments.counterfactual.ascent import checkpoints
from gradaudit.instruments.counterfactual.frank_wolfe import linear_step
from gradaudit.instruments.counterfactual.methods.svce import svce
from gradaudit.instruments.counterfactual.problem import Problem
from gradaudit.instruments.counterfactual.radius import resolve_radius
from gradaudit.noise import image_keys, normal

SHAPE = (1, 6, 6)


def linear_classifier(seed=0):
    network = nn.Sequential(nn.Flatten(), nn.Linear(36, 2, bias=False))
    weight = torch.randn(36, generator=torch.Generator().manual_seed(seed))
    network[1].weight.data = torch.stack([torch.zeros(36), weight])
    return network.eval(), weight.reshape(SHAPE)


def bent_classifier(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 24), nn.Tanh(), nn.Linear(24, 3)).eval()


def problem(classifier, count=5, target=1, seed=0):
    images = torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(7))
    return Problem(classifier, images, torch.full((count,), target), tuple(image_keys(images, seed)))


def part(whole, which):
    return Problem(whole.classifier, whole.images[which], whole.targets[which], tuple(whole.keys[at] for at in which))


@pytest.mark.parametrize("p", [1, 1.1, 1.5, 2])
def test_reaches_the_optimum_of_a_linear_classifier(p):
    classifier, weight = linear_classifier()
    given = problem(classifier)
    found = svce(given, radius=1.5, p=p, steps=30)
    change = found.images - given.images
    best = linear_step(weight.expand_as(change), 1.5, p=p, low=-given.images, high=1 - given.images)
    torch.testing.assert_close((change * weight).flatten(1).sum(1), (best * weight).flatten(1).sum(1), rtol=1e-4, atol=0)


@pytest.mark.parametrize("p", [1, 1.5, 2])
def test_stays_in_the_ball_and_in_the_range_of_pixels(p):
    given = problem(bent_classifier())
    found = svce(given, radius=0.8, p=p, steps=12)
    lengths = torch.linalg.vector_norm((found.images - given.images).flatten(1).double(), ord=p, dim=1)
    assert (lengths <= 0.8 * (1 + 1e-5)).all()
    assert (lengths > 0.4).all()
    assert found.images.min() >= 0
    assert found.images.max() <= 1


def test_gives_the_most_confident_point_of_its_way():
    given = problem(bent_classifier())
    found = svce(given, radius=2.0, steps=40)
    with torch.no_grad():
        confidence = given.classifier(found.images).softmax(1)[:, 1]
        before = given.classifier(given.images).softmax(1)[:, 1]
    torch.testing.assert_close(confidence, found.steps["confidence"].max(dim=1).values)
    assert (confidence > before).all()
    assert {name: tuple(values.shape) for name, values in found.steps.items()} == dict.fromkeys(
        ("confidence", "distance", "class_norm"), (5, 40)
    )


def plain_svce(classifier, image, target, start, radius, p, steps, momentum):
    """Frank-Wolfe with a running mean of gradients and the step sizes of Auto-PGD, for one image; the linear step has its tests."""

    def value(at):
        return classifier(at[None]).log_softmax(1)[0, target]

    def slope(at):
        at = at.clone().requires_grad_()
        return torch.autograd.grad(value(at), at)[0]

    here, length, direction = start, 0.75, torch.zeros_like(start)
    values = [float(value(start).detach())]
    best, best_value, checked_value = start, values[0], values[0]
    halved, since, rises = False, 0, 0
    for step in range(1, steps + 1):
        direction = slope(here) if step == 1 else momentum * direction + (1 - momentum) * slope(here)
        vertex = image + linear_step(direction[None], radius, p=p, low=-image[None], high=1 - image[None])[0]
        new = (here + length * (vertex - here)).clamp(0, 1)
        since += 1
        rises += float(value(new).detach()) > float(value(here).detach())
        here = new
        values.append(float(value(here).detach()))
        if values[-1] > best_value:
            best, best_value = here, values[-1]
        if step in checkpoints(steps):
            halved = rises < 0.75 * since or (not halved and checked_value == best_value)
            if halved:
                length, here = length / 2, best
            checked_value, rises, since = best_value, 0, 0
    return best, values[1:]


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("p", [1.5, 2])
def test_equals_a_plain_reading_of_the_algorithm(p, momentum):
    given = problem(bent_classifier())
    found = svce(given, radius=1.2, p=p, steps=25, momentum=momentum)
    noise = normal(given.sources(), given.images)
    for row, image in enumerate(given.images):
        start = (image + linear_step(noise[row][None], 1.2, p=p, low=-image[None], high=1 - image[None])[0]).clamp(0, 1)
        best, values = plain_svce(given.classifier, image, 1, start, 1.2, p, 25, momentum)
        torch.testing.assert_close(found.images[row], best, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(found.steps["confidence"][row], torch.tensor(values).exp(), rtol=1e-3, atol=1e-5)


def test_frames_lead_from_the_original_to_the_counterfactual():
    given = problem(bent_classifier())
    for steps, count in ((3, 4), (75, 24)):
        frames = svce(given, steps=steps, radius=2.0).frames
        assert frames.shape == (5, count, *SHAPE)
        assert frames.dtype == torch.uint8
        assert torch.equal(frames[:, 0], (given.images * 255).round().to(torch.uint8))
    found = svce(given, steps=5, radius=2.0)
    assert torch.equal(found.frames[:, -1], (found.images * 255).round().to(torch.uint8))


def test_neither_batch_nor_order_change_an_image_but_its_seed_does():
    given = problem(bent_classifier())
    together = svce(given, radius=2.0, steps=10)
    some = svce(part(given, [3, 0]), radius=2.0, steps=10)
    torch.testing.assert_close(some.images, together.images[[3, 0]])
    torch.testing.assert_close(some.steps["class_norm"], together.steps["class_norm"][[3, 0]])
    other = svce(problem(bent_classifier(), seed=1), radius=2.0, steps=1)
    assert not torch.allclose(other.images, svce(given, radius=2.0, steps=1).images)


class _Broken(nn.Module):
    """NaN for images whose first pixel exceeds a threshold."""

    def __init__(self, classifier, above):
        super().__init__()
        self.classifier, self.above = classifier, above

    def forward(self, images):
        broken = (images[:, 0, 0, 0] > self.above)[:, None]
        return self.classifier(images).masked_fill(broken, math.nan)


@pytest.mark.parametrize(("above", "first"), [(0.6, "after 0 steps"), (0.9, "after 1 steps")])
def test_an_image_without_a_finite_gradient_fails_alone(above, first):
    classifier, _ = linear_classifier()
    sound = problem(classifier)
    sound.images[:, 0, 0, 0] = 0.0
    classifier[1].weight.data[1, 0] = 9.0  # so strong that the first step raises the first pixel to 1 ...
    sound.images[2, 0, 0, 0] = 0.7
    sound.images[[0, 1, 3, 4], 0, 0, 0] = 0.0
    harmless = svce(sound, radius=0.5, p=1, steps=8)  # ... but in the others it has further to go than the radius
    broken = Problem(_Broken(classifier, above), sound.images, sound.targets, sound.keys)
    found = svce(broken, radius=0.5, p=1, steps=8)
    assert [reason is None for reason in found.failed] == [True, True, False, True, True]
    assert first in found.failed[2]
    assert torch.equal(found.images[2], sound.images[2])
    assert (found.frames[2] == found.frames[2, :1]).all()
    assert found.steps["confidence"][2, -1].isnan()
    others = [0, 1, 3, 4]
    torch.testing.assert_close(found.images[others], harmless.images[others])
    assert found.steps["confidence"][others].isfinite().all()


def test_lands_in_the_target_component_of_a_mixture():
    mixture = gaussian_mixture(classes=3, shape=(1, 4, 4), intrinsic_dim=2, seed=0)
    images, labels = mixture.draw(6, seed=1)
    images = images.clamp(0, 1)
    targets = (labels + 1) % 3
    given = Problem(mixture.bayes_classifier(sigma=0.2).eval(), images, targets, tuple(image_keys(images, 0)))
    found = svce(given, radius=2.0)
    assert torch.equal(given.classifier(found.images).argmax(1), targets)


def test_the_automatic_radius_keeps_the_mean_change_of_a_pixel():
    at_224, at_28 = (
        resolve_radius("auto", torch.zeros(1, channels, side, side), published=150.0, p=1.5)
        for channels, side in ((3, 224), (1, 28))
    )
    assert at_224 == pytest.approx(150)
    assert at_28**1.5 / 28**2 == pytest.approx(150**1.5 / 224**2)


def test_checkpoints_are_those_of_the_paper():
    assert checkpoints(100) == {22, 41, 57, 70, 80, 87, 93, 99}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("radius", -1),
        ("radius", "large"),
        ("p", 0.9),
        ("p", "1.5"),
        ("steps", 0),
        ("steps", 2.5),
        ("momentum", 1.0),
        ("momentum", -0.1),
    ],
)
def test_a_bad_option_is_named(option, value):
    with pytest.raises(InputError, match=f"`{option}`"):
        svce(problem(bent_classifier()), **{option: value})
