"""Controls: attributions that know no classifier, run beside the real ones to keep them honest."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Function = TypeVar("Function", bound=Callable[..., object])


def control(*, knows_images: bool) -> Callable[[Function], Function]:
    """Mark a function as one that ignores its classifier and targets, and, if so, the images but for their shape."""

    def mark(function: Function) -> Function:
        function.__dict__.update(needs_classifier=False, knows_images=knows_images)
        return function

    return mark
