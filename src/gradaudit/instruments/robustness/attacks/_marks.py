"""What a function of this folder says of itself beside its signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar

Function = TypeVar("Function", bound=Callable[..., object])


def measure(norm: str, numbers: Literal["share", "radius"]) -> Callable[[Function], Function]:
    """Mark a function that gives each image a number rather than an adversarial image.

    Args:
        norm: the word for what its radius is, in the table's column of that name.
        numbers: `"share"` for one in [0, 1] at each radius, `"radius"` for the radius itself, found once for all.
    """

    def mark(function: Function) -> Function:
        function.__dict__.update(measures=numbers, norm=norm)
        return function

    return mark


def after_others(function: Function) -> Function:
    """Mark an attack that is so costly that it sees only the images that the other attacks did not break."""
    function.__dict__.update(after_others=True)
    return function
