"""Layers whose input gradient can be differentiated at a fair price.

torch can differentiate any gradient again, but for two kinds of layer that takes several times as long as it must: a convolution,
where the second derivative by the kernel becomes a convolution with a kernel as large as the image, and a smooth activation, where
it becomes a score of passes over memory. Within `SecondOrder` these two have their derivatives written down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from gradaudit.training.objectives._activations import gelu, silu, softplus
from gradaudit.training.objectives._convolutions import WantedGradients, convolution

ACTIVATIONS: dict[Callable[..., Any], Callable[..., Tensor]] = {
    F.silu: silu,
    torch._C._nn.silu: silu,  # which F.silu calls
    F.gelu: gelu,
    F.softplus: softplus,
}


class SecondOrder(TorchFunctionMode):
    """Run a classifier within it, then ask for its `input_gradient`. Under autocast nothing is changed.

    Args:
        inputs: the images, which require a gradient.
    """

    def __init__(self, inputs: Tensor) -> None:
        super().__init__()
        self.inputs = inputs
        self.wanted = WantedGradients(inputs)
        self.plain = torch.is_autocast_enabled(inputs.device.type)

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The result of a call: those two layers' by the formulas here, all others as always."""
        kwargs = kwargs or {}
        if func is torch.conv2d and not self.plain:
            return convolution(self.wanted, *args, **kwargs)
        if func in ACTIVATIONS and not self.plain:
            return ACTIVATIONS[func](*args, **kwargs)
        return func(*args, **kwargs)

    def input_gradient(self, value: Tensor) -> Tensor:
        """The gradient of `value` by the inputs, itself differentiable."""
        self.wanted.inputs_alone = True
        try:
            return torch.autograd.grad(value, self.inputs, create_graph=True)[0]
        finally:
            self.wanted.inputs_alone = False
