"""Fits one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from gradaudit.devices import seeded
from gradaudit.training.fitting import fit
from gradaudit.training.recipe import Recipe
from gradaudit.training.together.member import Member
from gradaudit.training.together.ways._marks import marked


@marked(lambda member, recipe, device: None, in_turn=True)
def one_by_one(
    members: Sequence[Member], count: int, recipe: Recipe, device: torch.device, after_step: Callable[[int], None]
) -> Iterator[dict[int, Any]]:
    """Each fit by itself, with any learner and recipe on any device.

    Args:
        members: the fits.
        count: number of training images.
        recipe: of all; its seed is not used.
        device: where they are trained.
        after_step: called after each step with the number of fits that made one.

    Raises:
        TrainingError: a loss is no longer finite.
    """
    for position, member in enumerate(members):
        own = recipe.model_copy(update={"seed": member.seed})
        with seeded(member.seed, device):
            learner = member.build().to(device)
            fit(learner, member.draw, count, own, device=device, after_step=lambda run: after_step(1))
            measured = member.measure(learner)
        yield {position: measured}
