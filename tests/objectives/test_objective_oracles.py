"""Each objective against a slow implementation, image by image, that follows its definition, and against closed forms."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from gradaudit.errors import InputError
from gradaudit.training.objectives.adversarial import adversarial
from gradaudit.training.objectives.gradient_penalty import gradient_penalty
from gradaudit.training.objectives.noise import noise
from gradaudit.training.objectives.noise_stability import noise_stability
from gradaudit.training.objectives.trades import trades

SHAPE, CLASSES, COUNT = (2, 4, 4), 4, 5


def network(activation=nn.SiLU):
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 3, 3, padding=1), activation(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 6), activation()]
    return nn.Sequential(*layers, nn.Linear(6, CLASSES)).double()


def batch():
    generator = torch.Generator().manual_seed(3)
    return torch.rand(COUNT, *SHAPE, generator=generator, dtype=torch.float64), torch.tensor([0, 3, 1, 1, 2])


def softmax_regression():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(SHAPE), CLASSES)).double()


def cross_entropy(model, image, label):
    """Of one image (C, H, W)."""
    return -torch.log_softmax(model(image[None]), dim=1)[0, label]


def flat_gradient(loss, model):
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, tuple(model.parameters()))])


def slow_penalty(model, images, labels, strength, of):
    total = 0.0
    for image, label in zip(images, labels, strict=True):
        image = image.clone().requires_grad_()
        loss = cross_entropy(model, image, label)
        value = loss if of == "loss" else model(image[None])[0, label]
        gradient = torch.autograd.grad(value, image, create_graph=True)[0]
        total = total + loss + strength * sum(entry**2 for entry in gradient.flatten())
    return total / len(images)


# Gradient penalty


@pytest.mark.parametrize("of", ["loss", "logit"])
@pytest.mark.parametrize("activation", [nn.SiLU, nn.GELU, nn.Softplus, nn.ReLU])
def test_the_gradient_penalty_and_its_gradient_are_the_loops(of, activation):
    model, (images, labels) = network(activation), batch()
    found = gradient_penalty(model, images, labels, strength=0.3, of=of)
    expected = slow_penalty(model, images, labels, 0.3, of)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    assert torch.allclose(flat_gradient(found, model), flat_gradient(expected, model), rtol=1e-9, atol=1e-12)


def test_the_gradient_penaltys_gradient_is_the_finite_difference():
    model, (images, labels) = network(), batch()
    gradient = flat_gradient(gradient_penalty(model, images, labels, strength=2.0), model)
    direction = torch.randn_like(gradient)
    moved = []
    for sign in (1, -1):
        copy = network()
        vector = nn.utils.parameters_to_vector(copy.parameters())
        nn.utils.vector_to_parameters(vector + sign * 1e-6 * direction, copy.parameters())
        moved.append(gradient_penalty(copy, images, labels, strength=2.0).item())
    assert (moved[0] - moved[1]) / 2e-6 == pytest.approx(float(gradient @ direction), rel=1e-5)


def test_the_gradient_penalty_of_a_softmax_regression_has_a_closed_form():
    model, (images, labels) = softmax_regression(), batch()
    weight = model[1].weight.detach().numpy()
    logits = model(images).detach().numpy()
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    loss = -np.log(p[np.arange(COUNT), labels]).mean()
    residual = p - np.eye(CLASSES)[labels]
    of_loss = ((residual @ weight) ** 2).sum(1).mean()
    of_logit = (weight[labels] ** 2).sum(1).mean()
    assert gradient_penalty(model, images, labels, strength=3).item() == pytest.approx(loss + 3 * of_loss)
    assert gradient_penalty(model, images, labels, strength=3, of="logit").item() == pytest.approx(loss + 3 * of_logit)


@pytest.mark.parametrize("of", ["loss", "logit"])
@pytest.mark.parametrize(("norm", "power"), [("l1", 1), ("l1", 2), ("l2", 1), ("l2", 2)])
def test_the_penalty_of_a_softmax_regression_has_a_closed_form_in_every_norm_and_power(norm, power, of):
    model, (images, labels) = softmax_regression(), batch()
    weight = model[1].weight
    residual = model(images).softmax(dim=1) - torch.eye(CLASSES, dtype=torch.float64)[labels]
    each = residual @ weight if of == "loss" else weight[labels]
    lengths = torch.linalg.vector_norm(each, ord=int(norm[1]), dim=1)
    expected = nn.functional.cross_entropy(model(images), labels) + 3 * (lengths**power).mean()
    found = gradient_penalty(model, images, labels, strength=3, of=of, norm=norm, power=power)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    assert torch.allclose(flat_gradient(found, model), flat_gradient(expected, model), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_at_power_1_the_strength_is_a_radius(norm):
    """Of a linear classifier of two classes the worst loss in the dual ball is known; the penalised loss is that to first order."""
    torch.manual_seed(3)
    model, (images, _) = nn.Sequential(nn.Flatten(), nn.Linear(32, 2)).double(), batch()
    labels = torch.arange(COUNT) % 2
    difference = model[1].weight[1] - model[1].weight[0]
    reach = torch.linalg.vector_norm(difference, ord=int(norm[1]))
    logits = model(images)
    margins = (logits[:, 1] - logits[:, 0]) * (2 * labels - 1)
    errors = []
    for radius in (0.02, 0.01):
        worst = nn.functional.softplus(-(margins - radius * reach)).mean()
        errors.append((gradient_penalty(model, images, labels, strength=radius, norm=norm, power=1) - worst).abs().item())
    assert errors[0] < 0.02**2 * reach.item() ** 2
    assert errors[1] < 0.3 * errors[0]  # it falls with the square of the radius


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_a_gradient_of_zeros_is_no_trouble_at_power_1(norm):
    model, (images, labels) = network(), batch()
    with torch.no_grad():
        model[-1].weight.zero_()
    found = gradient_penalty(model, images, labels, norm=norm, power=1)
    assert found.item() == nn.functional.cross_entropy(model(images), labels).item()
    assert bool(flat_gradient(found, model).isfinite().all())


def test_the_gradient_penalty_works_whatever_the_callers_gradient_mode():
    model, (images, labels) = network(), batch()
    expected = gradient_penalty(model, images, labels)
    with torch.no_grad():
        assert gradient_penalty(model, images, labels).item() == expected.item()


# Noise


def drawn_noise():
    torch.manual_seed(9)
    return torch.randn(COUNT, *SHAPE, dtype=torch.float64)


def test_noise_is_the_loops_and_leaves_the_unit_box():
    model, (images, labels) = network(), batch()
    noisy = images + 0.7 * drawn_noise()
    assert bool((noisy < 0).any() and (noisy > 1).any())
    expected = sum(cross_entropy(model, image, label) for image, label in zip(noisy, labels, strict=True)) / COUNT
    torch.manual_seed(9)
    found = noise(model, images, labels, std=0.7)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    assert torch.allclose(flat_gradient(found, model), flat_gradient(expected, model), rtol=1e-9, atol=1e-12)


def test_noise_stability_is_the_loops():
    model, (images, labels) = network(), batch()
    total = 0.0
    for image, label, each in zip(images, labels, drawn_noise(), strict=True):
        change = model((image + 0.2 * each)[None])[0] - model(image[None])[0]
        total = total + cross_entropy(model, image, label) + 5 * sum(entry**2 for entry in change)
    torch.manual_seed(9)
    found = noise_stability(model, images, labels, strength=5, std=0.2)
    assert found.item() == pytest.approx((total / COUNT).item(), rel=1e-12)
    assert torch.allclose(flat_gradient(found, model), flat_gradient(total / COUNT, model), rtol=1e-9, atol=1e-12)


def test_noise_stability_of_a_linear_map_is_the_noises_size_times_the_weights_in_the_mean():
    """E ||std W n||^2 = std^2 ||W||^2."""
    model = softmax_regression()
    images = torch.rand(20_000, *SHAPE, dtype=torch.float64)
    labels = torch.zeros(len(images), dtype=torch.int64)
    plain = noise_stability(model, images, labels, strength=0).item()
    penalty = noise_stability(model, images, labels, strength=1, std=0.5).item() - plain
    assert penalty == pytest.approx(0.25 * model[1].weight.square().sum().item(), rel=0.03)


# TRADES


def slow_trades(model, images, labels, start, beta, norm, eps, steps, step):
    """Algorithm 1 on one image after another; the gradient of the ascent by the chain rule of KL(p || softmax(z))."""
    total = 0.0
    for image, label, moved in zip(images, labels, start, strict=True):
        here = torch.softmax(model(image[None])[0], dim=0)
        for _ in range(steps):
            inputs = moved.clone().requires_grad_()
            logits = model(inputs[None])[0]
            pull = (torch.softmax(logits, dim=0) - here).detach()
            gradient = torch.autograd.grad(logits @ pull, inputs)[0]
            moved = moved + step * (gradient.sign() if norm == "linf" else gradient / gradient.norm())
            delta = moved - image
            delta = delta.clamp(-eps, eps) if norm == "linf" else delta * min(1.0, eps / float(delta.norm()))
            moved = (image + delta).clamp(0, 1)
        there = torch.softmax(model(moved[None])[0], dim=0)
        total = total + cross_entropy(model, image, label) + beta * sum(here * (here.log() - there.log()))
    return total / len(images)


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.1), ("l2", 0.6)])
def test_trades_is_the_loops(norm, eps):
    model, (images, labels) = network(), batch()
    start = (images + 0.001 * drawn_noise()).clamp(0, 1)
    expected = slow_trades(model, images, labels, start, 6, norm, eps, 4, 0.4 * eps)
    torch.manual_seed(9)
    found = trades(model, images, labels, norm=norm, eps=eps, steps=4, step_size=0.4 * eps)
    assert found.item() == pytest.approx(expected.item(), rel=1e-9)
    assert torch.allclose(flat_gradient(found, model), flat_gradient(expected, model), rtol=1e-6, atol=1e-10)
    torch.manual_seed(9)
    assert trades(model, images, labels, norm=norm, eps=eps, steps=4).item() != found.item()  # another step size


def test_trades_starts_within_a_ball_smaller_than_its_noise():
    model, (images, labels) = softmax_regression(), batch()
    loss = trades(model, images, labels, beta=1, norm="l2", eps=1e-6, steps=1, step_size=1e-12)
    assert loss.item() == pytest.approx(trades(model, images, labels, beta=0).item(), abs=1e-10)


# Bad input


@pytest.mark.parametrize(
    ("objective", "option", "value"),
    [
        (gradient_penalty, "strength", -1),
        (gradient_penalty, "strength", math.nan),
        (gradient_penalty, "strength", True),
        (gradient_penalty, "of", "logits"),
        (gradient_penalty, "norm", "linf"),
        (gradient_penalty, "power", 3),
        (gradient_penalty, "power", True),
        (noise, "std", -0.1),
        (noise, "std", "much"),
        (noise_stability, "std", math.inf),
        (noise_stability, "strength", None),
        (trades, "beta", -1),
        (trades, "norm", "l1"),
        (trades, "eps", -1),
        (trades, "steps", 0),
        (trades, "step_size", 0),
        (adversarial, "restarts", 0),
        (adversarial, "restarts", 1.5),
    ],
)
def test_an_option_out_of_range_is_named(objective, option, value):
    with pytest.raises(InputError, match=rf"^`{option}` \(={value!r}\) must be ") as caught:
        objective(network(), *batch(), **{option: value})
    assert caught.value.argument == option
