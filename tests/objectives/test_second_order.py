"""The layers of the gradient penalty against torch's own double backward."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gradaudit.training.objectives._second_order import SecondOrder


def derivatives(function, inputs, weights, short):
    """The value, the input gradient, and the gradient of the input gradient's squares by the weights."""
    mode = SecondOrder(inputs)
    if short:
        with mode:
            value = function(inputs)
    else:
        value = function(inputs)
    weighed = (value * torch.arange(1.0, value.numel() + 1, dtype=value.dtype).view_as(value).sin()).sum()
    gradient = mode.input_gradient(weighed) if short else torch.autograd.grad(weighed, inputs, create_graph=True)[0]
    return value, gradient, *torch.autograd.grad(weighed + gradient.square().sum(), weights, allow_unused=True)


def assert_same(function, inputs, weights):
    found, expected = (derivatives(function, inputs, weights, short) for short in (True, False))
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.allclose(one, other, rtol=1e-8, atol=1e-9)


def images(channels=4, side=9):
    torch.manual_seed(0)
    return torch.randn(3, channels, side, side, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(
    "options",
    [
        {"padding": 1},
        {"stride": 2},
        {"stride": (2, 1), "padding": (0, 2)},
        {"dilation": 2, "padding": 2},
        {"groups": 2, "bias": False},
        {"groups": 4},
        {"padding": "same"},
        {"padding": 1, "padding_mode": "reflect"},
    ],
    ids=str,
)
def test_a_convolution_of_every_kind(options):
    torch.manual_seed(1)
    conv = nn.Conv2d(4, 8, 3, **options).double()
    last = nn.Conv2d(8, 2, 3).double()
    weights = [*conv.parameters(), *last.parameters()]
    assert_same(lambda x: last(torch.tanh(conv(x))), images(), weights)


def test_functional_convolutions_with_words_and_without_a_batch():
    torch.manual_seed(1)
    kernel = torch.randn(2, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    assert_same(lambda x: F.conv2d(input=x.tanh(), weight=kernel, padding=1).tanh(), images(), [kernel])
    assert_same(lambda x: F.conv2d(x[0].tanh(), kernel, stride=(2,)), images(), [kernel])


@pytest.mark.parametrize(
    "activation",
    [
        nn.SiLU(),
        nn.SiLU(inplace=True),
        nn.GELU(),
        nn.GELU(approximate="tanh"),
        nn.Softplus(),
        nn.Softplus(beta=3.0),
        nn.Softplus(beta=50.0, threshold=2.0),
        nn.ReLU(),
    ],
    ids=str,
)
def test_an_activation_of_every_kind(activation):
    torch.manual_seed(1)
    scale = torch.tensor([1.0, 0.1, 7.0, 30.0], dtype=torch.float64, requires_grad=True)
    assert_same(lambda x: activation(scale.view(-1, 1, 1) * x).square(), images(), [scale])


def test_the_inputs_and_constants_before_the_first_convolution_are_no_weights():
    torch.manual_seed(1)
    conv, scale = nn.Conv2d(4, 2, 3).double(), torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    weights = list(conv.parameters())
    assert_same(lambda x: conv((x - 0.5) / 0.1), images(), weights)
    assert_same(lambda x: conv(x * scale), images(), [*weights, scale])
    assert_same(lambda x: conv(F.pad(x, (1, 1))) + conv(scale.exp() * F.pad(x, (1, 1))), images(), [*weights, scale])


def test_a_frozen_kernel_and_shared_weights():
    torch.manual_seed(1)
    conv = nn.Conv2d(4, 4, 3, padding=1).double()
    assert_same(lambda x: conv(torch.tanh(conv(x))), images(), list(conv.parameters()))
    conv.weight.requires_grad_(False)
    assert_same(lambda x: conv(torch.tanh(conv(x))).square(), images(), [conv.bias])


def normalised(affine=True, momentum=0.1):
    """Two normalised convolutions; statistics, weights and biases unlike those they begin with."""
    torch.manual_seed(1)
    norms = [nn.BatchNorm2d(channels, affine=affine, momentum=momentum) for channels in (6, 5)]
    for norm in norms:
        for values in (norm.running_mean, *norm.parameters()):
            nn.init.normal_(values)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    return nn.Sequential(nn.Conv2d(4, 6, 3), norms[0], nn.SiLU(), nn.Conv2d(6, 5, 3), norms[1], nn.Tanh())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_batch_norm_of_every_kind(training, affine, momentum):
    network = normalised(affine, momentum).double().train(training)
    own = copy.deepcopy(network)
    torch_s = derivatives(network, images(), list(network.parameters()), short=False)
    found = derivatives(own, images(), list(own.parameters()), short=True)
    for one, other in zip((*found, *own.buffers()), (*torch_s, *network.buffers()), strict=True):
        assert torch.allclose(one, other, rtol=1e-8, atol=1e-9)


def test_batch_norm_without_places_or_kept_statistics_and_first_in_the_network():
    torch.manual_seed(1)
    norm = nn.BatchNorm1d(4, track_running_stats=False).double()
    last = nn.Linear(4, 3).double()
    assert_same(lambda x: last(norm(x.mean(dim=(2, 3)))).tanh(), images(), [*norm.parameters(), *last.parameters()])
    assert_same(lambda x: norm(x.flatten(2)).tanh(), images(), list(norm.parameters()))
    norm.weight.requires_grad_(False)
    assert_same(lambda x: last(norm(x.mean(dim=(2, 3)))).tanh(), images(), list(last.parameters()))


def test_batch_norm_of_one_value_a_channel_is_refused_as_torch_refuses_it():
    norm, one = nn.BatchNorm2d(4).double(), images(side=1)[:1].detach().requires_grad_()
    with pytest.raises(ValueError, match="more than 1 value per channel"), SecondOrder(one):
        norm(one)


def test_within_autocast_results_have_torch_s_types_and_are_as_near_to_full_precision():
    network, batch = nn.Sequential(normalised(), nn.Softplus(), nn.Conv2d(5, 2, 3), nn.GELU()), images().float().detach()
    batch.requires_grad_()
    weights = list(network.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        plain, found = (derivatives(network, batch, weights, short) for short in (False, True))
    full = derivatives(network, batch, weights, short=False)
    for one, other, exact in zip(found, plain, full, strict=True):
        assert one.dtype == other.dtype
        assert (one - exact).norm() <= 1.5 * (other - exact).norm() + 0.01 * exact.norm()


def test_autocast_is_asked_at_every_layer():
    """A classifier may be in double precision, or turn autocast off for a part of itself."""
    conv, batch = nn.Conv2d(4, 2, 3), images()
    with torch.autocast("cpu", torch.bfloat16), SecondOrder(batch):
        lower = conv(batch.float())
        with torch.autocast("cpu", enabled=False):
            full = conv(batch.float())
        double = F.conv2d(batch, conv.weight.double())
    assert [one.dtype for one in (lower, full, double)] == [torch.bfloat16, torch.float32, torch.float64]


def test_a_frozen_batch_norm_before_weights_that_learn():
    torch.manual_seed(1)
    norm, last = nn.BatchNorm2d(4).double().requires_grad_(False), nn.Conv2d(4, 2, 3).double()
    assert_same(lambda x: last(norm(x)).tanh(), images(), list(last.parameters()))


def test_an_error_inside_leaves_torch_as_it_was():
    inputs = images()
    with pytest.raises(RuntimeError), SecondOrder(inputs):
        F.conv2d(inputs, torch.zeros(1, 5, 3, 3, dtype=torch.float64))
    assert type(F.conv2d(inputs, torch.zeros(1, 4, 3, 3, dtype=torch.float64)).grad_fn).__name__ == "ConvolutionBackward0"
