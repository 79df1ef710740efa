"""Smooth activations with their second derivative in closed form, in few passes over memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


class Formula(NamedTuple):
    """An elementwise function: its value, its gradient from an outer one (in one pass), and its second derivative."""

    value: Callable[[Tensor], Tensor]
    gradient: Callable[[Tensor, Tensor], Tensor]
    second: Callable[[Tensor], Tensor]


def silu(inputs: Tensor, inplace: bool = False) -> Tensor:
    """x * sigmoid(x)."""
    if inplace:
        return F.silu(inputs, inplace=True)
    return _applied(inputs, Formula(F.silu, torch.ops.aten.silu_backward, _second_of_silu))


def gelu(inputs: Tensor, *, approximate: str = "none") -> Tensor:
    """x * Phi(x), Phi the normal distribution function."""
    if approximate != "none":
        return F.gelu(inputs, approximate=approximate)
    return _applied(inputs, Formula(F.gelu, torch.ops.aten.gelu_backward, _second_of_gelu))


def softplus(inputs: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta * x)) / beta; x itself where beta * x is above the threshold."""

    def second(x: Tensor) -> Tensor:
        sigmoid = torch.sigmoid(beta * x)
        return torch.addcmul(sigmoid, sigmoid, sigmoid, value=-1).mul_(beta).masked_fill_(beta * x > threshold, 0)

    return _applied(
        inputs,
        Formula(
            lambda x: F.softplus(x, beta, threshold),
            lambda outer, x: torch.ops.aten.softplus_backward(outer, x, beta, threshold),
            second,
        ),
    )


def _second_of_silu(x: Tensor) -> Tensor:
    """s(1 - s)(2 + x(1 - 2s)), s the sigmoid of x."""
    s = torch.sigmoid(x)
    return s.mul(-2).add_(1).mul_(x).add_(2).mul_(torch.addcmul(s, s, s, value=-1))


def _second_of_gelu(x: Tensor) -> Tensor:
    """phi(x)(2 - x^2), phi the normal density."""
    square = x.square()
    return square.mul(-0.5).exp_().mul_(square.neg_().add_(2)).mul_(1 / math.sqrt(2 * math.pi))


def _applied(inputs: Tensor, formula: Formula) -> Tensor:
    found: Tensor = _Activation.apply(inputs, formula)  # type: ignore[no-untyped-call]
    return found


class _Activation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, formula: Formula) -> Tensor:
        ctx.save_for_backward(inputs)
        ctx.formula = formula
        return formula.value(inputs)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None]:
        return _Gradient.apply(outer, *ctx.saved_tensors, ctx.formula), None  # type: ignore[no-untyped-call]


class _Gradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, outer: Tensor, inputs: Tensor, formula: Formula) -> Tensor:
        ctx.save_for_backward(outer, inputs)
        ctx.formula = formula
        return formula.gradient(outer, inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, change: Tensor) -> tuple[Tensor, Tensor, None]:
        outer, inputs = ctx.saved_tensors
        return ctx.formula.gradient(change, inputs), ctx.formula.second(inputs).mul_(outer).mul_(change), None
