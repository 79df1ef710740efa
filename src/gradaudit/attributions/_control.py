"""Controls: attributions that run beside the real ones to keep them honest, and what each of them does not know."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Function = TypeVar("Function", bound=Callable[..., object])

NO_CLASSIFIER = "knows no classifier"


def control(
    *, knows_images: bool | None, needs_classifier: bool | None = False, lacks: str | None = NO_CLASSIFIER
) -> Callable[[Function], Function]:
    """Mark a function as a control.

    Args:
        knows_images: False for one that ignores the images but for their shape; None for as the attribution that it is made of.
        needs_classifier: False for one that ignores classifier and targets; None for as the attribution that it is made of.
        lacks: what the classifier that was trained has before it, in words that follow "which"; None for nothing, so that nobody
            need beat it.
    """

    def mark(function: Function) -> Function:
        function.__dict__.update(control=True, needs_classifier=needs_classifier, knows_images=knows_images, lacks=lacks)
        return function

    return mark


def prepared_by(prepare: Callable[..., Callable[..., object]]) -> Callable[[Function], Function]:
    """Mark a function as one whose work for a classifier is done once for all its images.

    Args:
        prepare: from the classifier and the function's options to a function `(classifier, images, targets) -> scores`.
    """

    def mark(function: Function) -> Function:
        function.__dict__["prepared_once"] = prepare
        return function

    return mark


def of_another(function: Function) -> Function:
    """Mark a function as one that is made of another attribution, which its option `of` names."""
    function.__dict__["of_another"] = True
    return function
