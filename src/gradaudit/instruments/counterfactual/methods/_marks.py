"""What a method says of itself beside its signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Function = TypeVar("Function", bound=Callable[..., object])


def needs_denoiser(function: Function) -> Function:
    """Mark a method that can't do without a denoiser, so that one is asked for before any work."""
    function.__dict__.update(needs_denoiser=True)
    return function


def heeds_found(function: Function) -> Function:
    """Mark a method that goes away from `problem.found`: of others no set can be asked whose members repel each other."""
    function.__dict__.update(heeds_found=True)
    return function


def asks_nobody(function: Function) -> Function:
    """Mark a method that asks neither the denoiser nor the robust classifier, so that its outcomes are found whatever these are."""
    function.__dict__.update(asks_helpers=False)
    return function
