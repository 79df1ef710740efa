"""What the instrument must know of a score beside its function."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Function = TypeVar("Function", bound=Callable[..., object])


def class_conditional(function: Function) -> Function:
    """Mark a score that only a denoiser with classes has."""
    function.__dict__["needs_classes"] = True
    return function
