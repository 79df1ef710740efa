"""Batch norm whose input gradient can be differentiated in few passes over memory."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from gradaudit.training.objectives._convolutions import WantedGradients

Parts = tuple[Tensor, Tensor, Tensor]
"""By the inputs, by the weight (the sum of outer times normalised inputs, a value a channel), by the bias (the sum of outer)."""


class _How(NamedTuple):
    """What normalises a batch: its own statistics in training, else the running ones; values a channel."""

    mean: Tensor
    inverse: Tensor  # of the standard deviation
    training: bool

    def gradients(self, outer: Tensor, inputs: Tensor, weight: Tensor | None, wanted: list[bool]) -> Parts:
        """torch's own, in one pass for the sums and one for the result."""
        # Outside training the running variance is what 1/sqrt is taken of, with eps added: neither is needed apart.
        running = (None, None) if self.training else (self.mean, self.inverse.pow(-2))
        found: Parts = torch.ops.aten.native_batch_norm_backward(
            outer, inputs, weight, *running, self.mean, self.inverse, self.training, 0.0, wanted
        )
        return found


def batch_norm(
    wanted: WantedGradients,
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """What `torch.nn.functional.batch_norm` gives, whose arguments these are."""
    known = training or (running_mean is not None and running_var is not None)
    if input.numel() == input.shape[1] or not known:  # which torch's refuses, in training or always
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    running = (running_mean, running_var)
    found: Tensor = _BatchNorm.apply(input, weight, bias, running, (training, momentum, eps), wanted, wanted.has_weights(input))  # type: ignore[no-untyped-call]
    return found


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        running: tuple[Tensor | None, Tensor | None],
        options: tuple[bool, float, float],
        wanted: WantedGradients,
        has_weights: bool,
    ) -> Tensor:
        training, _, eps = options
        found: Parts = torch.ops.aten.native_batch_norm(inputs, weight, bias, *running, *options)
        output, mean, inverse = found
        kept, variance = running
        if not training and kept is not None and variance is not None:
            mean, inverse = kept, (variance + eps).rsqrt()
        ctx.save_for_backward(inputs, weight)
        ctx.how, ctx.wanted, ctx.has_weights = _How(mean, inverse, training), wanted, has_weights
        return output

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight = ctx.saved_tensors
        if ctx.wanted.inputs_alone:
            return _Gradient.apply(outer, inputs, weight, ctx.how), *[None] * 6  # type: ignore[no-untyped-call]
        return *ctx.how.gradients(outer, inputs, weight, [ctx.has_weights, *ctx.needs_input_grad[1:3]]), *[None] * 4


class _Gradient(torch.autograd.Function):
    """Linear in the outer gradient, by a matrix that is its own transpose."""

    @staticmethod
    def forward(ctx: Any, outer: Tensor, inputs: Tensor, weight: Tensor | None, how: _How) -> Tensor:
        gradient, *sums = how.gradients(outer, inputs, weight, [True, True, True])
        ctx.save_for_backward(outer, inputs, weight, *sums)
        ctx.how = how
        return gradient

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, change: Tensor) -> tuple[Tensor | None, ...]:
        outer, inputs, weight, outer_slope, outer_sum = ctx.saved_tensors
        how: _How = ctx.how
        to_outer, slope, total = how.gradients(change, inputs, weight, [True, True, True])
        # The sum of change times outer, a value a channel: what the gradient by a weight is, of inputs that are normal already.
        neutral = _How(torch.zeros_like(how.mean), torch.ones_like(how.inverse), how.training)
        products = neutral.gradients(change, outer, None, [False, True, True])[1]
        if not how.training:
            return to_outer, None, None if weight is None else products * how.inverse, None
        count = inputs.numel() / inputs.shape[1]
        to_weight = how.inverse * (products - (outer_sum * total + outer_slope * slope) / count)
        # By the inputs, which are in the mean, in the deviation and in the normalised values; all are linear in these three.
        scale = how.inverse.square() / count if weight is None else weight * how.inverse.square() / count
        by_outer, by_change = -scale * slope, -scale * outer_slope
        by_inputs = how.inverse * (2 * scale * outer_slope * slope / count - scale / how.inverse * to_weight)
        constant = scale * (slope * outer_sum + outer_slope * total) / count - by_inputs * how.mean
        to_inputs = outer * _spread(by_outer, outer)
        to_inputs.addcmul_(change, _spread(by_change, outer)).addcmul_(inputs, _spread(by_inputs, outer))
        to_inputs.add_(_spread(constant, outer))
        return to_outer, to_inputs.to(inputs.dtype), None if weight is None else to_weight, None


def _spread(values: Tensor, images: Tensor) -> Tensor:
    """A value a channel, for every place."""
    return values.view(-1, *[1] * (images.ndim - 2))
