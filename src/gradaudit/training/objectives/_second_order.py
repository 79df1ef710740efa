"""Layers whose input gradient can be differentiated at a fair price.

torch can differentiate any gradient again, but for three kinds of layer that takes several times as long as it must: a convolution,
where the second derivative by the kernel becomes a convolution with a kernel as large as the image, and a smooth activation and
batch norm, where it becomes a score of passes over memory. Within `SecondOrder` these have their derivatives written down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from gradaudit.training.objectives._activations import gelu, silu, softplus
from gradaudit.training.objectives._batch_norm import batch_norm
from gradaudit.training.objectives._convolutions import WantedGradients, convolution

ACTIVATIONS: dict[Callable[..., Any], Callable[..., Tensor]] = {
    F.silu: silu,
    torch._C._nn.silu: silu,  # which F.silu calls
    F.gelu: gelu,
    F.softplus: softplus,
}
IN_FULL_PRECISION = (F.softplus,)  # under autocast on some devices, whatever its inputs are


class SecondOrder(TorchFunctionMode):
    """Run a classifier within it, then ask for its `input_gradient`. Under autocast convolutions are in its lower precision.

    Args:
        inputs: the images, which require a gradient.
    """

    def __init__(self, inputs: Tensor) -> None:
        super().__init__()
        self.inputs = inputs
        self.wanted = WantedGradients(inputs)

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The result of a call: those layers' by the formulas here, all others as always."""
        kwargs = kwargs or {}
        if func is torch.conv2d:
            return convolution(self.wanted, *map(self._lowered, args), **{name: self._lowered(one) for name, one in kwargs.items()})
        if func is F.batch_norm:
            return batch_norm(self.wanted, *args, **kwargs)
        if func in ACTIVATIONS and not (func in IN_FULL_PRECISION and torch.is_autocast_enabled(self.inputs.device.type)):
            return ACTIVATIONS[func](*args, **kwargs)
        return func(*args, **kwargs)

    def _lowered(self, value: Any) -> Any:
        """As autocast does before a convolution, where it is on; it does not see those in a function of our own."""
        device = self.inputs.device.type
        if not isinstance(value, Tensor) or value.dtype == torch.float64 or not torch.is_autocast_enabled(device):
            return value
        return value.to(torch.get_autocast_dtype(device))

    def input_gradient(self, value: Tensor) -> Tensor:
        """The gradient of `value` by the inputs, itself differentiable."""
        self.wanted.inputs_alone = True
        try:
            return torch.autograd.grad(value, self.inputs, create_graph=True)[0]
        finally:
            self.wanted.inputs_alone = False
