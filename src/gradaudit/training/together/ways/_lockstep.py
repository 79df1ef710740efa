"""The loop that trains a group step by step: every member has its own weights, order, batches and random state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import ceil, isfinite
from typing import Any

import torch
from torch import Tensor, nn

from gradaudit.errors import TrainingError
from gradaudit.training.fitting import memory_format
from gradaudit.training.recipe import Recipe
from gradaudit.training.together.member import Member, RandomState

Step = Callable[[int, list[tuple[Tensor, Tensor]]], Tensor]
"""From the step's number and the members' images and labels to their losses (G,), after changing their weights."""


class Fit:
    """A member on its way.

    Args:
        member: what it is.
        device: where its learner is.
    """

    def __init__(self, member: Member, device: torch.device) -> None:
        self.member = member
        self.random = RandomState(member.seed, device)
        with self.random.inside():
            learner = member.build().to(device)
        self.learner: nn.Module = learner.to(memory_format=memory_format(learner)).train()  # type: ignore[call-overload]

    def order(self, count: int, steps: int, device: torch.device) -> Sequence[Tensor]:
        """The indices of a new epoch's batches, all sent to the device at once."""
        with self.random.inside():
            return torch.randperm(count).to(device).tensor_split(steps)

    def draw(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """The images and labels of a batch."""
        with self.random.inside():
            return self.member.draw(indices)

    @torch.no_grad()
    def measured(self) -> Any:
        """What was to be known of the learner."""
        with self.random.inside():
            return self.member.measure(self.learner)


@torch.enable_grad()
def train(
    fits: Sequence[Fit], step: Step, count: int, recipe: Recipe, device: torch.device, after_step: Callable[[int], None]
) -> dict[int, TrainingError]:
    """Train all fits to the end; the errors of those whose loss ceased to be finite, which do not touch the others."""
    steps = ceil(count / recipe.batch_size)
    failed: dict[int, TrainingError] = {}
    for epoch in range(recipe.epochs):
        total = torch.zeros(len(fits), device=device)
        orders = [fit.order(count, steps, device) for fit in fits]
        for place, chosen in enumerate(zip(*orders, strict=True)):
            batches = [fit.draw(indices) for fit, indices in zip(fits, chosen, strict=True)]
            total += step(epoch * steps + place, batches)
            after_step(len(fits))
        for position, mean in enumerate((total / steps).tolist()):
            if not isfinite(mean):
                why = f"the loss of epoch {epoch + 1} is {mean}: lower `learning_rate` (={recipe.learning_rate})"
                failed.setdefault(position, TrainingError(why))
        if len(failed) == len(fits):
            break
    return failed


def outcomes(fits: Sequence[Fit], failed: dict[int, TrainingError]) -> Iterator[dict[int, Any]]:
    """What was measured of the fits that did not fail; then the first failure is raised."""
    yield {position: fit.measured() for position, fit in enumerate(fits) if position not in failed}
    for error in failed.values():
        raise error
