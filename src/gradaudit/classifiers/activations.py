"""Activations by name: `"relu"`, `"leaky_relu"`, `"silu"`, `"gelu"`, `"softplus(beta=10)"`, `"softplus(learnable=true)"`."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradaudit.errors import InputError, require
from gradaudit.registry import Spec, options_of, parse_spec


class LearnableSoftplus(nn.Module):
    """log(1 + exp(beta * x)) / beta with a trained beta, held as its logarithm so that it stays positive."""

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.log_beta = nn.Parameter(torch.tensor(math.log(beta)))

    def forward(self, inputs: Tensor) -> Tensor:
        """The activation of `inputs`, of the same shape."""
        beta = self.log_beta.exp()
        return F.softplus(beta * inputs) / beta


def activation_factory(activation: str | Mapping[str, Any] | Spec, argument: str = "activation") -> Callable[[], nn.Module]:
    """A function that makes a new module of the named activation at every call.

    Each place in a network gets a module of its own: hooks on activations (guided backpropagation, DeepLift) need that.

    Raises:
        InputError: an unknown activation, or an option that it does not have.
    """
    spec = parse_spec(argument, activation)
    if spec.name not in ACTIVATIONS:
        raise InputError(argument, str(spec), f"one of {', '.join(ACTIVATIONS)}")
    allowed = options_of(ACTIVATIONS[spec.name])
    known = len(spec.positional) <= len(allowed) and all(key in allowed for key in spec.options)
    require(known, argument, str(spec), f"given options that {spec.name} has: {', '.join(allowed) or 'none'}")
    make = functools.partial(ACTIVATIONS[spec.name], **spec.options, **dict(zip(allowed, spec.positional, strict=False)))
    make()  # so that a bad option is found here
    return make


def _softplus(*, beta: float = 1.0, learnable: bool = False) -> nn.Module:
    require(isinstance(beta, int | float) and 0 < beta < math.inf, "beta", beta, "a number above 0")
    require(isinstance(learnable, bool), "learnable", learnable, "true or false")
    return LearnableSoftplus(beta) if learnable else nn.Softplus(beta)


def _leaky_relu(*, slope: float = 0.01) -> nn.Module:
    require(isinstance(slope, int | float) and 0 <= slope < 1, "slope", slope, "a number from 0 to below 1")
    return nn.LeakyReLU(slope)


ACTIVATIONS: dict[str, Callable[..., nn.Module]] = {
    "relu": lambda: nn.ReLU(),
    "leaky_relu": _leaky_relu,
    "silu": lambda: nn.SiLU(),
    "gelu": lambda: nn.GELU(),
    "softplus": _softplus,
}
