"""Convolutions whose input gradient can be differentiated for the price of two more convolutions."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class WantedGradients:
    """Which gradients the backward pass that runs has a use for: a layer cannot ask torch.

    Args:
        inputs: the images, whose gradient is wanted in the first pass alone.
    """

    def __init__(self, inputs: Tensor) -> None:
        self.inputs = inputs
        self.inputs_alone = False

    def has_weights(self, tensor: Tensor) -> bool:
        """Whether a tensor was made from anything that requires a gradient but the inputs."""
        ahead, seen = [tensor.grad_fn], set()
        while ahead:
            node = ahead.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            if getattr(node, "variable", self.inputs) is not self.inputs:
                return True
            ahead += [following for following, _ in node.next_functions]
        return False


class _How(NamedTuple):
    stride: list[int]
    padding: list[int]
    dilation: list[int]
    groups: int

    def conv(self, image: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
        return torch.conv2d(image, kernel, bias, *self)

    def gradients(self, outer: Tensor, image: Tensor, kernel: Tensor, wanted: list[bool]) -> tuple[Tensor | None, ...]:
        """Of image, kernel and bias, where wanted, from the outer gradient."""
        stride, padding, dilation, groups = self
        found: tuple[Tensor | None, ...] = torch.ops.aten.convolution_backward(
            outer, image, kernel, [len(kernel)], stride, padding, dilation, False, [0, 0], groups, wanted
        )
        return found


def convolution(
    wanted: WantedGradients,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """What `torch.conv2d` gives, whose arguments these are."""
    if input.ndim != 4 or isinstance(padding, str):
        return torch.conv2d(input, weight, bias, stride, padding, dilation, groups)
    how = _How(_pair(stride), _pair(padding), _pair(dilation), groups)
    found: Tensor = _Convolution.apply(input, weight, bias, how, wanted, wanted.has_weights(input))  # type: ignore[no-untyped-call]
    return found


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, image: Tensor, kernel: Tensor, bias: Tensor | None, how: _How, wanted: WantedGradients, has_weights: bool
    ) -> Tensor:
        ctx.save_for_backward(image, kernel)
        ctx.how, ctx.wanted, ctx.has_weights = how, wanted, has_weights
        return how.conv(image, kernel, bias)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        image, kernel = ctx.saved_tensors
        alone = ctx.wanted.inputs_alone
        to_image = _ImageGradient.apply(outer, kernel, image, ctx.how) if alone or ctx.has_weights else None  # type: ignore[no-untyped-call]
        to_weights = (None, None, None) if alone else ctx.how.gradients(outer, image, kernel, [False, *ctx.needs_input_grad[1:3]])
        return to_image, *to_weights[1:], None, None, None


class _ImageGradient(torch.autograd.Function):
    """Linear in the outer gradient and in the kernel, so that its own gradients are convolutions again."""

    @staticmethod
    def forward(ctx: Any, outer: Tensor, kernel: Tensor, image: Tensor, how: _How) -> Tensor | None:
        ctx.save_for_backward(outer, kernel)
        ctx.how = how
        return how.gradients(outer, image, kernel, [True, False, False])[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, change: Tensor) -> tuple[Tensor | None, ...]:
        outer, kernel = ctx.saved_tensors
        to_kernel = ctx.how.gradients(outer, change, kernel, [False, True, False])[1] if ctx.needs_input_grad[1] else None
        return ctx.how.conv(change, kernel), to_kernel, None, None


def _pair(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value) * (2 if len(value) == 1 else 1)
