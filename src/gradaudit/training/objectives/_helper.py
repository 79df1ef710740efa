"""What an objective may rest on beside its options: a denoiser, say, which its options only name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

Options = Mapping[str, Any]
"""All options of an objective, defaults included."""


class Helper(Protocol):
    """What a recipe and a training must know of it; an objective that has one carries it as its attribute `helper`."""

    def mark(self, options: Options) -> Any:
        """What tells it from another of the same name, in JSON values."""

    def check(self, options: Options, input_shape: tuple[int, int, int], classes: int, augment: str) -> None:
        """Raise `InputError` unless classifiers of such images, of so many classes, can be trained with it."""

    def prepared(
        self, options: Options, draw: Callable[[Tensor], tuple[Tensor, Tensor]], count: int, device: torch.device
    ) -> Callable[..., Tensor]:
        """The objective for one training, called with `(classifier, images, labels, indices)` and perhaps its strength by name.

        Args:
            options: of the objective.
            draw: gives the training images and their labels at indices below `count`.
            count: number of training images.
            device: where they come from.
        """


def helper_of(objective: Any) -> Helper | None:
    """The helper of an objective, or None."""
    found: Helper | None = getattr(objective, "helper", None)
    return found
