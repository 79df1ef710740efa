"""Forward mode: a Jacobian times a vector."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor


def pushed(function: Callable[[Tensor], Tensor], at: Tensor, direction: Tensor) -> Tensor:
    """The directional derivative of the function, of its output's shape; `direction` has the shape of `at`."""
    with warnings.catch_warnings():  # torch's forward mode scripts its own formulas when first used, and warns of it
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", DeprecationWarning)
        derivative: Tensor = torch.func.jvp(function, (at,), (direction,))[1]
    return derivative
