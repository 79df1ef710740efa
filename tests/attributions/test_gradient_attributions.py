"""Logit, loss and softmax gradients against closed forms of a linear classifier and finite differences of a smooth one."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gradaudit.attributions._gradients import input_gradient
from gradaudit.attributions.logit_gradient import logit_gradient
from gradaudit.attributions.loss_gradient import loss_gradient
from gradaudit.attributions.softmax_gradient import softmax_gradient
from gradaudit.errors import InputError

SHAPE = (2, 3, 4)
CLASSES = 5
FUNCTIONS = (logit_gradient, loss_gradient, softmax_gradient)


def linear():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(24, CLASSES)).double()


def smooth():
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.Softplus(), nn.Flatten(), nn.Linear(6, CLASSES)).double()


def batch(count=6):
    generator = torch.Generator().manual_seed(2)
    images = torch.rand(count, *SHAPE, generator=generator, dtype=torch.float64)
    return images, torch.arange(count) % CLASSES


def test_logit_gradient_of_a_linear_classifier_is_the_weight_row():
    network, (images, targets) = linear(), batch()
    expected = network[1].weight[targets].view(-1, *SHAPE)
    torch.testing.assert_close(logit_gradient(network, images, targets), expected.float())


def test_loss_gradient_of_a_linear_classifier_is_weights_times_probability_less_one_hot():
    network, (images, targets) = linear(), batch()
    residual = network(images).softmax(1) - F.one_hot(targets, CLASSES)
    expected = (residual @ network[1].weight).view(-1, *SHAPE)
    torch.testing.assert_close(loss_gradient(network, images, targets), expected.float())


def test_softmax_gradient_of_a_linear_classifier():
    network, (images, targets) = linear(), batch()
    p = network(images).softmax(1)
    rows = network[1].weight
    chosen = p.gather(1, targets[:, None])
    expected = (chosen * (rows[targets] - p @ rows)).view(-1, *SHAPE)
    torch.testing.assert_close(softmax_gradient(network, images, targets), expected.float())


@pytest.mark.parametrize(
    ("function", "quantity"),
    [
        (logit_gradient, lambda z, y: z[y]),
        (loss_gradient, lambda z, y: z.logsumexp(0) - z[y]),
        (softmax_gradient, lambda z, y: (z[y] - z.logsumexp(0)).exp()),
    ],
)
def test_gradients_of_a_smooth_network_are_finite_differences(function, quantity):
    network, (images, targets) = smooth(), batch(2)
    gradient = function(network, images, targets)
    step = 1e-5
    for image, target, row in zip(images, targets, gradient, strict=True):
        for place in range(24):
            shift = torch.zeros(24, dtype=torch.float64)
            shift[place] = step
            up, down = (quantity(network((image + sign * shift.view(SHAPE))[None])[0], target) for sign in (1, -1))
            assert row.flatten()[place].item() == pytest.approx(((up - down) / (2 * step)).item(), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_times_input_multiplies_by_the_image(function):
    network, (images, targets) = smooth(), batch()
    plain, times = (function(network, images, targets, times_input=flag) for flag in (False, True))
    torch.testing.assert_close(times, plain * images.float())


@pytest.mark.parametrize("function", [loss_gradient, softmax_gradient])
def test_a_sure_classifier_still_has_a_gradient(function):
    # In single precision 1 - p would be 0 at a margin of 20 logits, and with it every score.
    network = nn.Sequential(nn.Flatten(), nn.Linear(24, 2))
    with torch.no_grad():
        network[1].weight.zero_()[0, 3] = 1.0
        network[1].bias.copy_(torch.tensor([25.0, 0.0]))
    gradient = function(network, torch.zeros(1, *SHAPE), torch.zeros(1, dtype=torch.int64)).flatten()
    assert abs(gradient[3].item()) == pytest.approx(torch.sigmoid(torch.tensor(-25.0, dtype=torch.float64)).item(), rel=1e-5)


@pytest.mark.parametrize("guard", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_gradients_are_taken_whatever_the_callers_grad_mode(function, guard):
    network, (images, targets) = smooth(), batch()
    expected = function(network, images, targets)
    with guard():
        inside = function(network, images.clone(), targets)
    assert torch.equal(inside.clone(), expected)


def test_dropout_and_batch_norm_are_in_evaluation_mode():
    network = nn.Sequential(nn.BatchNorm2d(2), nn.Dropout(0.5), nn.Flatten(), nn.Linear(24, CLASSES)).train()
    images, targets = (part.float() if part.is_floating_point() else part for part in batch())
    first, second = (logit_gradient(network, images, targets) for _ in range(2))
    assert torch.equal(first, second)
    assert int(network[0].num_batches_tracked) == 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda x, y: (x, y + 3), "targets"),
        (lambda x, y: (x, y - 1), "targets"),
        (lambda x, y: (x, y[:-1]), "targets"),
        (lambda x, y: (x, y.float()), "targets"),
        (lambda x, y: (x[0], y), "images"),
        (lambda x, y: ((x * 255).to(torch.uint8), y), "images"),
    ],
)
def test_bad_images_and_targets_are_named(change, named):
    with pytest.raises(InputError, match=f"`{named}`"):
        logit_gradient(linear(), *change(*batch()))


def test_an_unknown_quantity_is_named():
    with pytest.raises(InputError, match=r"`of` \(='margin'\)"):
        input_gradient(linear(), *batch(), of="margin")


class Wrong(nn.Module):
    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, images):
        return self.answer(images)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: x, r"shape \(6, K\)"),
        (lambda x: x.flatten(1)[:, :1], "at least 2 logits"),
        (lambda x: x.flatten(1).argmax(1), "floating-point"),
        (lambda x: (x.flatten(1), x), "tuple"),
        (lambda x: x.detach().flatten(1), "differentiable"),
    ],
)
def test_a_classifier_that_returns_something_else_is_named(answer, message):
    with pytest.raises(InputError, match=f"`classifier`.*{message}"):
        logit_gradient(Wrong(answer), *batch())
