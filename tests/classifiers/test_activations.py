import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gradaudit.classifiers.activations import ACTIVATIONS, activation_factory
from gradaudit.errors import InputError

X = torch.linspace(-3, 3, 25, dtype=torch.float64)
FORMULAS = {
    "relu": lambda x: x * (x > 0),
    "leaky_relu": lambda x: torch.where(x > 0, x, 0.01 * x),
    "silu": lambda x: x / (1 + (-x).exp()),
    "gelu": lambda x: x * (1 + torch.erf(x / 2**0.5)) / 2,
    "softplus": lambda x: (1 + x.exp()).log(),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_is_its_formula(name: str) -> None:
    torch.testing.assert_close(activation_factory(name)()(X), FORMULAS[name](X))


def test_every_call_makes_a_new_module() -> None:
    make = activation_factory("relu")
    assert make() is not make()


@pytest.mark.parametrize("spec", ["softplus(beta=10)", "softplus(10)", {"name": "softplus", "beta": 10}])
def test_softplus_takes_beta(spec: object) -> None:
    torch.testing.assert_close(activation_factory(spec)()(X), (1 + (10 * X).exp()).log() / 10)


@given(st.floats(0.5, 20))
def test_learnable_softplus_starts_as_softplus_and_learns_beta(beta: float) -> None:
    activation = activation_factory({"name": "softplus", "beta": beta, "learnable": True})()
    inputs = X.float()
    torch.testing.assert_close(activation(inputs), nn.Softplus(beta)(inputs), rtol=1e-4, atol=1e-5)
    activation(inputs).sum().backward()
    (parameter,) = activation.parameters()
    assert parameter.grad < 0  # a larger beta brings softplus down towards ReLU


def test_text_options_are_read() -> None:
    assert list(activation_factory("softplus(learnable=true)")().parameters())
    assert not list(activation_factory("softplus(learnable=false)")().parameters())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("swish", r"`activation` \(='swish'\) must be one of relu"),
        ("softplus(gamma=2)", r"`activation` .* must be given options that softplus has: beta"),
        ("relu(1)", r"`activation` .* must be given options that relu has: none"),
        ("softplus(beta=0)", r"`beta` \(=0\) must be a number above 0"),
        ("softplus(learnable=maybe)", r"`learnable` \(='maybe'\) must be true or false"),
        ("leaky_relu(slope=2)", r"`slope` \(=2\)"),
    ],
)
def test_bad_activation_is_named(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        activation_factory(spec)
