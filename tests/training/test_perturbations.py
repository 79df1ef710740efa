"""PGD against closed forms and a naive second implementation."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from gradaudit.errors import InputError
from gradaudit.training.perturbations import ascent_direction, pgd, project, uniform_in_ball

SHAPE = (2, 4, 3)
norms = st.sampled_from(["l2", "linf"])


def network(seed=0, classes=3):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(48, classes)).eval()


def batch(count=5, seed=0, classes=3, shape=SHAPE):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, *shape, generator=generator), torch.randint(classes, (count,), generator=generator)


def lengths(delta, norm):
    flat = delta.flatten(1)
    return flat.norm(dim=1) if norm == "l2" else flat.abs().amax(dim=1)


def linear(classes=2, seed=1):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(SHAPE), classes))


# The ball and the box


@settings(deadline=None, max_examples=40)
@given(norms, st.floats(0, 3), st.integers(1, 4), st.none() | st.floats(1e-3, 10), st.booleans(), st.integers(0, 99))
def test_the_result_stays_in_the_ball_and_in_the_box(norm, eps, steps, step_size, random_start, seed):
    images, labels = batch(seed=seed)
    eps = min(eps, 1.0) if norm == "linf" else eps  # more than the whole box is refused
    moved = pgd(network(), images, labels, norm=norm, eps=eps, steps=steps, step_size=step_size, random_start=random_start)
    assert moved.shape == images.shape
    assert moved.dtype == images.dtype
    assert float(lengths(moved - images, norm).max()) <= eps * (1 + 1e-5) + 1e-6
    assert 0 <= float(moved.min()) <= float(moved.max()) <= 1


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_a_radius_of_zero_gives_the_images_back_as_a_copy(norm):
    images, labels = batch()
    moved = pgd(network(), images, labels, norm=norm, eps=0)
    assert torch.equal(moved, images)
    assert moved.data_ptr() != images.data_ptr()


# Every image by itself


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_the_batch_an_image_comes_in_changes_nothing(norm):
    model = network().double()
    images, labels = batch(7)
    images = images.double()
    images[3] *= 1e-3  # an image whose gradient has another size
    together = pgd(model, images, labels, norm=norm, eps=0.5, random_start=False)
    alone = [pgd(model, images[i : i + 1], labels[i : i + 1], norm=norm, eps=0.5, random_start=False) for i in range(7)]
    assert torch.allclose(together, torch.cat(alone), rtol=0, atol=1e-9)


def test_order_in_the_batch_changes_nothing():
    images, labels = batch(6)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    model = network().double()
    straight = pgd(model, images.double(), labels, norm="l2", eps=0.3, random_start=False)
    shuffled = pgd(model, images[order].double(), labels[order], norm="l2", eps=0.3, random_start=False)
    assert torch.allclose(straight[order], shuffled, rtol=0, atol=1e-9)


# Closed forms: the loss of two classes rises along w_other - w_label, whatever the image


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("random_start", [True, False])
def test_two_linear_classes_have_a_closed_form(norm, random_start):
    model, eps = linear(), 0.02
    images, labels = batch(6, classes=2)
    images = images * 0.5 + 0.25  # so that the box plays no part
    weight = model[1].weight.detach()
    away = (weight[1 - labels] - weight[labels]).view(-1, *SHAPE)
    direction = away.sign() if norm == "linf" else away / lengths(away, "l2").view(-1, 1, 1, 1)
    moved = pgd(model, images, labels, norm=norm, eps=eps, steps=20, random_start=random_start)
    assert torch.allclose(moved, images + eps * direction, atol=2e-6 if norm == "linf" or not random_start else 2e-3)


def test_at_the_edge_of_the_box_the_linf_closed_form_is_clamped():
    model = linear()
    images, labels = batch(6, classes=2)
    weight = model[1].weight.detach()
    away = (weight[1 - labels] - weight[labels]).view(-1, *SHAPE).sign()
    moved = pgd(model, images, labels, norm="linf", eps=0.4, random_start=False)
    assert torch.allclose(moved, (images + 0.4 * away).clamp(0, 1), atol=1e-6)


def naive(model, image, label, norm, eps, steps, step):
    """PGD on one image, as section 2.1 of Madry et al. (2018) writes it, in numpy but for the gradient."""
    start = image.numpy().copy()
    x = start.copy()
    for _ in range(steps):
        inputs = torch.from_numpy(x)[None].requires_grad_()
        (-torch.log_softmax(model(inputs), dim=1)[0, label]).backward()
        gradient = inputs.grad[0].numpy()
        x = x + step * (np.sign(gradient) if norm == "linf" else gradient / np.sqrt((gradient**2).sum()))
        delta = x - start
        if norm == "linf":
            delta = np.minimum(np.maximum(delta, -eps), eps)
        elif np.sqrt((delta**2).sum()) > eps:
            delta = delta * eps / np.sqrt((delta**2).sum())
        x = np.minimum(np.maximum(start + delta, 0), 1)
    return x


@pytest.mark.parametrize(("norm", "eps"), [("l2", 0.7), ("linf", 0.1)])
@pytest.mark.parametrize("step_size", [None, 0.05])
def test_it_is_the_naive_algorithm(norm, eps, step_size):
    model = network().double()
    images, labels = batch()
    images = images.double()
    moved = pgd(model, images, labels, norm=norm, eps=eps, steps=5, step_size=step_size, random_start=False)
    step = 2.5 * eps / 5 if step_size is None else step_size
    expected = [naive(model, image, int(label), norm, eps, 5, step) for image, label in zip(images, labels, strict=True)]
    assert np.allclose(moved.numpy(), np.stack(expected), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("norm", "eps"), [("l2", 0.5), ("linf", 0.05)])
def test_the_loss_of_every_image_rises(norm, eps):
    model = network()
    images, labels = batch(20)
    moved = pgd(model, images, labels, norm=norm, eps=eps)
    loss = nn.CrossEntropyLoss(reduction="none")
    assert bool((loss(model(moved), labels) > loss(model(images), labels)).all())


# Gradients of every size


class Scaled(nn.Module):
    def __init__(self, inner, scale):
        super().__init__()
        self.inner, self.scale = inner, scale

    def forward(self, images):
        return self.inner(images) * self.scale


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_a_gradient_of_zero_is_safe(norm):
    images, labels = batch()
    moved = pgd(Scaled(network(), 0.0), images, labels, norm=norm, eps=0.5, random_start=False)
    assert torch.equal(moved, images)
    moved = pgd(Scaled(network(), 0.0), images, labels, norm=norm, eps=0.5)
    assert bool(moved.isfinite().all())


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_a_tiny_gradient_still_moves_the_image_all_the_way(norm):
    images, labels = batch()
    images = images * 0.5 + 0.25
    moved = pgd(Scaled(linear(3), 1e-30), images, labels, norm=norm, eps=0.1, random_start=False)
    assert lengths(moved - images, norm).tolist() == pytest.approx([0.1] * 5, rel=1e-4)


@given(st.floats(1e-37, 1e37), st.integers(0, 99))
def test_a_direction_has_unit_length_and_does_not_depend_on_scale(scale, seed):
    gradient = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(seed))
    direction = ascent_direction(gradient * scale, "l2")
    assert lengths(direction, "l2").tolist() == pytest.approx([1] * 3, abs=1e-5)
    assert torch.allclose(direction, gradient / lengths(gradient, "l2").view(-1, 1, 1, 1), atol=1e-5)
    assert torch.equal(ascent_direction(gradient * scale, "linf"), gradient.sign())


# Projection


@given(norms, st.floats(0, 10), st.floats(0, 10), st.integers(0, 99))
def test_the_projection_is_the_nearest_point_of_the_ball(norm, eps, scale, seed):
    delta = torch.randn(3, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * scale
    projected = project(delta, norm, eps)
    for point, image in zip(projected.numpy(), delta.numpy(), strict=True):
        size = np.sqrt((image**2).sum())
        expected = np.clip(image, -eps, eps) if norm == "linf" else image if size <= eps else image * eps / size
        assert np.allclose(point, expected, rtol=1e-12, atol=1e-12)
    assert torch.allclose(project(projected, norm, eps), projected, rtol=1e-12)


@given(norms, st.floats(0.1, 2), st.integers(0, 99))
def test_no_point_of_the_ball_is_nearer_than_the_projection(norm, eps, seed):
    generator = torch.Generator().manual_seed(seed)
    delta = torch.randn(2, *SHAPE, dtype=torch.float64, generator=generator)
    other = project(torch.randn(2, *SHAPE, dtype=torch.float64, generator=generator) * 3, norm, eps)
    nearest = lengths(delta - project(delta, norm, eps), "l2")
    assert bool((lengths(delta - other, "l2") >= nearest - 1e-12).all())


# The random start


@given(norms, st.floats(0, 5), st.integers(0, 99))
def test_a_random_point_is_inside_the_ball(norm, eps, seed):
    assume(eps == 0 or eps > 1e-6)
    torch.manual_seed(seed)
    points = uniform_in_ball(torch.zeros(4, *SHAPE), norm, eps)
    assert float(lengths(points, norm).max()) <= eps * (1 + 1e-5)


def test_random_points_fill_the_ball_uniformly():
    """In F dimensions, (|x|/eps)^F is uniform on [0, 1] in the L2 ball, and every x/eps on [-1, 1] in the Linf ball."""
    from scipy.stats import kstest

    torch.manual_seed(0)
    images = torch.zeros(4000, 1, 2, 3)
    in_l2 = uniform_in_ball(images, "l2", 2.0)
    assert kstest((lengths(in_l2, "l2").double() / 2) ** 6, "uniform").pvalue > 0.01
    assert float(in_l2.mean(dim=0).abs().max()) < 0.06  # no direction is preferred: the deviation of the mean is 0.011
    squares = in_l2.square().mean(dim=0)
    assert float(squares.max() / squares.min()) < 1.15
    in_linf = uniform_in_ball(images, "linf", 2.0)
    assert kstest(in_linf.flatten().double() / 2, "uniform", args=(-1, 2)).pvalue > 0.01


def test_a_random_start_follows_the_seed():
    images, labels = batch()

    def attack(seed):
        torch.manual_seed(seed)
        return pgd(network_, images, labels, norm="l2", eps=0.5, steps=1)

    network_ = network()
    assert torch.equal(attack(1), attack(1))
    assert not torch.equal(attack(1), attack(2))


# What is left as it was


@pytest.mark.parametrize("training", [True, False])
def test_the_classifier_and_the_images_are_left_as_they_were(training):
    model = network().train(training)
    model[2].train(not training)
    modes = [module.training for module in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    model[0].weight.grad = torch.ones_like(model[0].weight)
    model[4].weight.requires_grad_(False)
    images, labels = batch()
    images.requires_grad_()
    before = images.detach().clone()
    moved = pgd(model, images, labels, norm="l2", eps=0.5)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert torch.equal(model[0].weight.grad, torch.ones_like(model[0].weight))
    assert [parameter.requires_grad for parameter in model.parameters()] == [True, True, True, True, False, True]
    assert torch.equal(images, before)
    assert images.grad is None
    assert not moved.requires_grad


def test_the_attack_runs_in_evaluation_mode():
    images, labels = batch()
    model = network()
    evaluated = pgd(model, images, labels, norm="l2", eps=0.5, random_start=False)
    assert torch.equal(pgd(model.train(), images, labels, norm="l2", eps=0.5, random_start=False), evaluated)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_it_works_whatever_the_callers_gradient_mode(context):
    images, labels = batch()
    model = network()
    expected = pgd(model, images, labels, norm="l2", eps=0.5, random_start=False)
    with context():
        assert torch.equal(pgd(model, images, labels, norm="l2", eps=0.5, random_start=False), expected)
        inside = images.clone()
        assert torch.equal(pgd(model, inside, labels, norm="l2", eps=0.5, random_start=False), expected)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_no_images_give_no_images(norm):
    images, labels = batch()
    assert pgd(network(), images[:0], labels[:0], norm=norm, eps=0.5).shape == (0, *SHAPE)


# Bad input


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("norm", "l1"),
        ("norm", "L2"),
        ("eps", -0.1),
        ("eps", float("nan")),
        ("eps", float("inf")),
        ("eps", "big"),
        ("steps", 0),
        ("steps", 2.5),
        ("steps", "ten"),
        ("step_size", 0),
        ("step_size", -1.0),
        ("step_size", float("nan")),
        ("step_size", "long"),
        ("images", batch()[0] * 255),
        ("images", batch()[0] - 0.5),
        ("images", batch()[0] * float("nan")),
        ("images", batch()[0][0]),
        ("images", (batch()[0] * 255).to(torch.uint8)),
        ("labels", batch()[1][:-1]),
        ("labels", batch()[1][:, None]),
        ("labels", batch()[1].float()),
    ],
)
def test_a_bad_argument_is_named(argument, value):
    images, labels = batch()
    given_ = {"images": images, "labels": labels, "norm": "l2", "eps": 0.5} | {argument: value}
    with pytest.raises(InputError, match=rf"^`{argument}` \(=") as caught:
        pgd(network(), given_.pop("images"), given_.pop("labels"), **given_)
    assert caught.value.argument == argument
