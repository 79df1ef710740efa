"""Which optimizers treat each number by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def elementwise(optimizer: F) -> F:
    """Mark an optimizer whose step on each number depends on that number's gradients alone.

    Only such a one may act on the weights of several networks stacked into one tensor.
    """
    optimizer.elementwise = True  # type: ignore[attr-defined]
    return optimizer
