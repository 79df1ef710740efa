"""Controls: attributions that know no classifier, run beside the real ones to keep them honest."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Function = TypeVar("Function", bound=Callable[..., object])


def control(function: Function) -> Function:
    """The function, marked as one that ignores its classifier and targets."""
    function.__dict__["needs_classifier"] = False
    return function
