"""The excitation pullback against its definition: slow and naive, in closed form, and at both ends of the temperature."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import nn
from torch.nn import functional as F

import gradaudit as ga
from gradaudit.attributions import resolve_attribution
from gradaudit.attributions._soft_gates import Softened
from gradaudit.attributions.excitation_pullback import excitation_pullback
from gradaudit.attributions.logit_gradient import logit_gradient
from gradaudit.classifiers.build import NETWORKS
from gradaudit.errors import InputError

IMAGES = torch.rand(4, 2, 8, 7, generator=torch.Generator().manual_seed(0))
TARGETS = torch.tensor([0, 1, 2, 1])


class Network(nn.Module):
    """Two convolutions and a linear layer, with the activation given between them."""

    def __init__(self, activation, pool=None, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.second = nn.Conv2d(2, 5, 3), nn.Conv2d(5, 5, 3)
        self.activation, self.pool = activation, pool or nn.Identity()
        self.last = nn.LazyLinear(3)
        with torch.no_grad():
            self(IMAGES)

    def forward(self, images):
        hidden = self.pool(self.activation(self.second(self.activation(self.first(images)))))
        return self.last(hidden.flatten(1))


RELUS = {
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "F.relu": F.relu,
    "F.relu in place": lambda z: F.relu(z, inplace=True),
    "F.relu in place, by position": lambda z: F.relu(z, True),
    "F.relu by name": lambda z: F.relu(input=z),
    "F.relu_": F.relu_,
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "method": lambda z: z.relu(),
    "method in place": lambda z: z.relu_(),
    "clamp": lambda z: z.clamp(min=0),
    "clamp by position": lambda z: torch.clamp(z, 0.0),
    "clamp_": lambda z: z.clamp_(min=0),
    "clip": lambda z: z.clip(0),
    "clamp_min": lambda z: z.clamp_min(0),
    "aten": torch.ops.aten.relu.default,
}


def logits_of(classifier):
    """The classifier's own logits, and those of the classifier whose gradient is softened."""
    with torch.enable_grad():
        return classifier(IMAGES), Softened(classifier, "sigmoid", None)(IMAGES.clone().requires_grad_())


@pytest.mark.parametrize("way", RELUS)
def test_every_way_to_call_a_relu_is_the_same(way):
    network = Network(RELUS[way])
    own, softened = logits_of(network)
    assert torch.equal(own, softened)
    expected = excitation_pullback(Network(nn.ReLU()), IMAGES, TARGETS)
    assert torch.equal(excitation_pullback(network, IMAGES, TARGETS), expected)
    assert not torch.allclose(expected, logit_gradient(network, IMAGES, TARGETS), rtol=0.1)


@pytest.mark.parametrize("gate", ["sigmoid", "normal"])
def test_cold_gates_are_the_gradient(gate):
    network = Network(nn.ReLU(), nn.MaxPool2d(2))
    scores = excitation_pullback(network, IMAGES, TARGETS, gate=gate, temperature=1e-9)
    torch.testing.assert_close(scores, logit_gradient(network, IMAGES, TARGETS))


@pytest.mark.parametrize("gate", ["sigmoid", "normal"])
def test_hot_gates_are_half_of_a_linear_network_each(gate):
    scores = excitation_pullback(Network(nn.ReLU()), IMAGES, TARGETS, gate=gate, temperature=1e9)
    torch.testing.assert_close(scores, logit_gradient(Network(nn.Identity()), IMAGES, TARGETS) / 4)


@pytest.mark.parametrize(
    ("options", "gate"),
    [
        ({}, lambda z: 1 / (1 + np.exp(-z / 0.3))),
        ({"temperature": 1.5}, lambda z: 1 / (1 + np.exp(-z / 1.5))),
        ({"gate": "normal"}, lambda z: norm.cdf(z / 0.6)),
        ({"gate": "normal", "temperature": 0.2}, lambda z: norm.cdf(z / 0.2)),
    ],
)
def test_two_layers_by_hand(options, gate):
    rng = np.random.default_rng(1)
    weights = [rng.standard_normal(shape) / 3 for shape in ((9, 12), (7, 9), (3, 7))]
    offsets = [rng.standard_normal(len(weight)) for weight in weights]
    layers = [nn.Linear(*reversed(weight.shape)).double() for weight in weights]
    for layer, weight, offset in zip(layers, weights, offsets, strict=True):
        layer.weight.data, layer.bias.data = torch.tensor(weight), torch.tensor(offset)
    relu = nn.ReLU(inplace=True)  # the same one twice
    network = nn.Sequential(nn.Flatten(), layers[0], relu, layers[1], relu, layers[2])
    images, targets = rng.random((5, 1, 3, 4)), [0, 2, 1, 1, 0]
    expected = np.zeros((5, 12))
    for row, image, target in zip(expected, images.reshape(5, 12), targets, strict=True):
        first = weights[0] @ image + offsets[0]
        second = weights[1] @ np.maximum(first, 0) + offsets[1]
        for coordinate, one, two in product(range(12), range(9), range(7)):
            path = weights[2][target, two] * weights[1][two, one] * weights[0][one, coordinate]
            row[coordinate] += path * gate(first[one]) * gate(second[two])
    scores = excitation_pullback(network, torch.tensor(images), torch.tensor(targets), **options)
    np.testing.assert_allclose(scores.reshape(5, 12), expected, atol=1e-6)


class Wide(nn.Module):
    """The mean of rectified random projections, and its negative."""

    def __init__(self, weights):
        super().__init__()
        self.weights = weights

    def forward(self, images):
        mean = F.relu(images.flatten(1) @ self.weights.T).mean(1)
        return torch.stack([mean, -mean], dim=1)


@pytest.mark.parametrize("temperature", [0.05, 0.6, 3.0])
def test_gaussian_weights_have_a_closed_form(temperature):
    # E[w Phi(w.x / T)] = x / sqrt(2 pi (T^2 + |x|^2)), by Stein's lemma.
    count = 200_000
    weights = torch.randn(count, 6, generator=torch.Generator().manual_seed(0))
    image = torch.tensor([0.9, 0.1, 0.0, 0.5, 0.3, 1.0]).view(1, 1, 2, 3)
    scores = excitation_pullback(Wide(weights), image, torch.tensor([0]), gate="normal", temperature=temperature)
    expected = image / math.sqrt(2 * math.pi * (temperature**2 + float(image.square().sum())))
    torch.testing.assert_close(scores, expected, atol=5 / math.sqrt(count), rtol=0)  # |w Phi| is at most |w|: five standard errors


@pytest.mark.parametrize(
    ("activation", "gate"),
    [
        (F.silu, lambda z: torch.sigmoid(z / 1.6)),
        (nn.SiLU(inplace=True), lambda z: torch.sigmoid(z / 1.6)),
        (F.gelu, lambda z: torch.distributions.Normal(0, 1).cdf(z)),
        (nn.GELU("tanh"), lambda z: torch.distributions.Normal(0, 1).cdf(z)),
    ],
)
def test_smooth_gates_stand_in_for_the_derivative(activation, gate):
    torch.manual_seed(0)
    first, last = nn.Linear(112, 9), nn.Linear(9, 3)
    network = Layers(lambda images: last(activation(first(images.flatten(1)))), first, last)
    own, softened = logits_of(network)
    assert torch.equal(own, softened)
    with torch.no_grad():
        expected = (last.weight[TARGETS] * gate(first(IMAGES.flatten(1)))) @ first.weight
    torch.testing.assert_close(excitation_pullback(network, IMAGES, TARGETS), expected.view_as(IMAGES))


class Layers(nn.Module):
    """A function with the layers that it uses."""

    def __init__(self, function, *layers):
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, images):
        return self.function(images)


@pytest.mark.parametrize("affine", [True, False])
def test_a_layer_norm_has_constant_statistics(affine):
    torch.manual_seed(0)
    norm_, first, last = nn.LayerNorm((8, 7), elementwise_affine=affine), nn.Linear(112, 9), nn.Linear(9, 3)
    if affine:
        nn.init.normal_(norm_.weight)
    own, softened = logits_of(network := nn.Sequential(norm_, nn.Flatten(), first, nn.ReLU(), last))
    assert torch.equal(own, softened)
    with torch.no_grad():
        normed = norm_(IMAGES)
        hidden = first(normed.flatten(1))
        outer = ((last.weight[TARGETS] * torch.sigmoid(hidden / 0.3)) @ first.weight).view_as(IMAGES)
        std = IMAGES.var((2, 3), correction=0, keepdim=True).add(norm_.eps).sqrt()
        expected = outer * (norm_.weight if affine else 1) / std
    torch.testing.assert_close(excitation_pullback(network, IMAGES, TARGETS), expected)


POOLS = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel_size": (3, 2), "stride": (1, 3), "padding": (1, 0), "dilation": (1, 2)},
    {"kernel_size": 2, "stride": 4},
]


def naive_pool(values, outer, temperature, kernel_size, stride=None, padding=0, dilation=1, **rest):
    """The gradient of softmax-weighted means of the windows, weights constant, window by window."""
    kernel, padding, dilation = (np.broadcast_to(value, 2) for value in (kernel_size, padding, dilation))
    stride = kernel if stride is None else np.broadcast_to(stride, 2)
    found = torch.zeros_like(values)
    for image, channel, row, column in product(*map(range, outer.shape)):
        at = [
            (row * stride[0] - padding[0] + down * dilation[0], column * stride[1] - padding[1] + right * dilation[1])
            for down, right in product(range(kernel[0]), range(kernel[1]))
        ]
        inside = [(y, x) for y, x in at if 0 <= y < values.shape[2] and 0 <= x < values.shape[3]]
        weights = torch.stack([values[image, channel, y, x] for y, x in inside]).div(temperature).softmax(0)
        for weight, (y, x) in zip(weights, inside, strict=True):
            found[image, channel, y, x] += weight * outer[image, channel, row, column]
    return found


@pytest.mark.parametrize("options", POOLS)
def test_max_pooling_by_hand(options):
    torch.manual_seed(0)
    pooled = F.max_pool2d(IMAGES, **options)
    last = nn.Linear(pooled[0].numel(), 3)
    own, softened = logits_of(network := nn.Sequential(nn.MaxPool2d(**options), nn.Flatten(), last))
    assert torch.equal(own, softened)
    outer = last.weight.detach()[TARGETS].view_as(pooled)
    torch.testing.assert_close(excitation_pullback(network, IMAGES, TARGETS), naive_pool(IMAGES, outer, 0.3, **options))


def test_a_hot_pool_is_a_mean():
    torch.manual_seed(0)
    last = nn.Linear(2 * 4 * 3, 3)
    means, maxima = (nn.Sequential(pool, nn.Flatten(), last) for pool in (nn.AvgPool2d(2), nn.MaxPool2d(2)))
    scores = excitation_pullback(maxima, IMAGES, TARGETS, temperature=1e9)
    torch.testing.assert_close(scores, logit_gradient(means, IMAGES, TARGETS))


@pytest.mark.parametrize("name", NETWORKS.names())
def test_logits_of_every_network_are_untouched(name):
    torch.manual_seed(0)
    network = NETWORKS.bind("network", name)((1, 28, 28), 10).eval()
    images = torch.rand(3, 1, 28, 28)
    if name == "linear":
        with pytest.raises(InputError, match="gates to soften"):
            excitation_pullback(network, images, torch.tensor([0, 1, 2]))
        return
    with torch.enable_grad():
        assert torch.equal(network(images), Softened(network, "sigmoid", None)(images.clone().requires_grad_()))
    assert excitation_pullback(network, images, torch.tensor([0, 1, 2])).abs().max() > 0


def test_a_part_in_place_is_a_part():
    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.first, self.last = nn.Conv2d(2, 6, 3), nn.Linear(180, 3)

        def forward(self, images):
            hidden = self.first(images)
            hidden[:, :3].relu_()
            return self.last(hidden.flatten(1))

    class Whole(Half):
        def forward(self, images):
            lower, upper = self.first(images).split(3, dim=1)
            return self.last(torch.cat([F.relu(lower), upper], dim=1).flatten(1))

    for options in ({}, {"temperature": 1e-9}):
        expected = excitation_pullback(Whole(), IMAGES, TARGETS, **options)
        torch.testing.assert_close(excitation_pullback(Half(), IMAGES, TARGETS, **options), expected)


def test_other_clamps_are_no_gates():
    network = Network(lambda z: z.clamp(min=-0.1))
    with pytest.raises(InputError, match="none was met"):
        excitation_pullback(network, IMAGES, TARGETS)


@pytest.mark.parametrize(
    ("activation", "said"),
    [
        (nn.LeakyReLU(), "LeakyRelu"),
        (nn.ELU(), "Elu"),
        (nn.ReLU6(), "Hardtanh"),
        (nn.Mish(), "Mish"),
        (lambda z: torch.maximum(z, torch.zeros(())), "Maximum"),
    ],
)
def test_what_the_papers_do_not_soften_is_refused_beside_what_they_do(activation, said):
    network = Network(lambda z: F.relu(activation(z)))
    with pytest.raises(InputError, match=f"`classifier` .*has {said}"):
        excitation_pullback(network, IMAGES, TARGETS)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is")
def test_a_gate_that_python_does_not_see_is_refused():
    with pytest.raises(InputError, match="gates to soften"):
        excitation_pullback(torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(112, 5), nn.ReLU())), IMAGES, TARGETS)
    hidden = torch.jit.script(nn.ReLU())
    with pytest.raises(InputError, match="has Relu"):
        excitation_pullback(Network(lambda z: F.relu(hidden(z))), IMAGES, TARGETS)


def test_a_linear_classifier_has_no_gate():
    with pytest.raises(InputError, match="none was met"):
        excitation_pullback(nn.Sequential(nn.Flatten(), nn.Linear(112, 3)), IMAGES, TARGETS)


def test_gates_are_hard_again_after_an_exception():
    class Breaking(Network):
        broken = False

        def forward(self, images):
            logits = super().forward(images)
            if self.broken:
                raise RuntimeError("no more")
            return logits

    network = Breaking(nn.ReLU(inplace=True))
    before = logit_gradient(network, IMAGES, TARGETS)
    modules = dict(network.named_modules())
    network.broken = True
    with pytest.raises(RuntimeError, match="no more"):
        excitation_pullback(network, IMAGES, TARGETS)
    network.broken = False
    assert torch.equal(logit_gradient(network, IMAGES, TARGETS), before)
    assert dict(network.named_modules()) == modules


def test_a_short_step_goes_along_the_pullback():
    network = Network(nn.ReLU())
    images = IMAGES * 0.5 + 0.25  # away from the ends
    pullback = excitation_pullback(network, images, TARGETS)
    moved = excitation_pullback(network, images, TARGETS, steps=1, step_size=0.01)
    expected = 0.01 * pullback / pullback.square().mean((1, 2, 3), keepdim=True).sqrt()
    torch.testing.assert_close(moved, expected, atol=1e-6, rtol=1e-4)


def test_steps_add_up_and_stay_among_images():
    network = Network(nn.ReLU())
    point = IMAGES
    for _ in range(3):
        pullback = excitation_pullback(network, point, TARGETS)
        point = (point + 0.3 * pullback / pullback.square().mean((1, 2, 3), keepdim=True).sqrt()).clamp(0, 1)
    moved = excitation_pullback(network, IMAGES, TARGETS, steps=3, step_size=0.3)
    torch.testing.assert_close(moved, point - IMAGES, atol=1e-5, rtol=1e-4)
    assert ((IMAGES + moved).min(), (IMAGES + moved).max()) == (0, 1)


def test_an_image_without_gradient_stays():
    network = nn.Sequential(nn.Flatten(), nn.Linear(112, 5), nn.ReLU(), nn.Linear(5, 3))
    nn.init.zeros_(network[3].weight)
    assert not excitation_pullback(network, IMAGES, TARGETS, steps=2).any()


@pytest.mark.parametrize("of", ["loss", "softmax"])
def test_other_quantities(of):
    network = Network(nn.ReLU())
    logits = Softened(network, "sigmoid", None)(inputs := IMAGES.clone().requires_grad_())
    value = F.cross_entropy(logits, TARGETS, reduction="sum") if of == "loss" else logits.softmax(1).gather(1, TARGETS[:, None])
    (expected,) = torch.autograd.grad(value.sum(), inputs)
    torch.testing.assert_close(excitation_pullback(network, IMAGES, TARGETS, of=of), expected)


def test_under_the_machinery_of_attributions():
    images = ga.ImageSet((IMAGES[:, :1] * 255).round().byte(), TARGETS, ("a", "b", "c"))
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(120, 3))
    spec = "excitation_pullback(temperature=0.5)"
    assert resolve_attribution(spec).name == spec
    whole = ga.attribute_all(network, images, spec, device="cpu")
    torch.testing.assert_close(whole, excitation_pullback(network, images.floats(), TARGETS, temperature=0.5))
    torch.testing.assert_close(ga.attribute_all(network, images, spec, batch_size=1, device="cpu"), whole)
    every = ga.attribute_all(network, images, spec, target="all", device="cpu")
    each = [excitation_pullback(network, images.floats(), torch.full((4,), label), temperature=0.5) for label in range(3)]
    torch.testing.assert_close(every, sum(one.abs() for one in each))


@pytest.mark.parametrize(
    "option",
    [
        {"gate": "step"},
        {"temperature": 0},
        {"temperature": math.inf},
        {"temperature": "hot"},
        {"steps": -1},
        {"steps": 1.5},
        {"step_size": 0.0},
        {"of": "margin"},
    ],
)
def test_a_bad_option_is_named(option):
    with pytest.raises(InputError, match=f"`{next(iter(option))}`"):
        excitation_pullback(Network(nn.ReLU()), IMAGES, TARGETS, **option)
