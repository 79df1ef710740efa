"""Fits on CUDA streams of their own, in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import ceil
from typing import Any

import torch
from torch import Tensor

from gradaudit.training.fitting import optimizer_of, set_rate
from gradaudit.training.recipe import Recipe
from gradaudit.training.together.member import Member
from gradaudit.training.together.ways._lockstep import Fit, outcomes, train
from gradaudit.training.together.ways._marks import marked
from gradaudit.training.together.ways._plain import plain_step, why_not_plain


def _why_not(member: Member, recipe: Recipe, device: torch.device) -> str | None:
    if device.type != "cuda":
        return "only CUDA has streams"
    return why_not_plain(member, recipe, device)


@marked(_why_not)
def streams(
    members: Sequence[Member], count: int, recipe: Recipe, device: torch.device, after_step: Callable[[int], None]
) -> Iterator[dict[int, Any]]:
    """Each fit's kernels on a stream of its own: small ones of several fits share the accelerator.

    Args:
        members: the fits, for whose learner and recipe there is no `why_not`.
        count: number of training images.
        recipe: of all; its seed is not used.
        device: a CUDA device.
        after_step: called after each step with the number of fits that made one.

    Raises:
        TrainingError: a loss is no longer finite; the other members' outcomes come first.
    """
    fits = [Fit(member, device) for member in members]
    lanes = [torch.cuda.Stream(device) for _ in fits]  # type: ignore[no-untyped-call]
    optimizers = [optimizer_of(fit.learner.parameters(), recipe) for fit in fits]
    total = recipe.epochs * ceil(count / recipe.batch_size)

    def step(number: int, batches: list[tuple[Tensor, Tensor]]) -> Tensor:
        main = torch.cuda.current_stream(device)
        losses = []
        for fit, lane, optimizer, (images, labels) in zip(fits, lanes, optimizers, batches, strict=True):
            lane.wait_stream(main)
            with torch.cuda.stream(lane):
                images.record_stream(lane)
                labels.record_stream(lane)
                set_rate(optimizer, recipe, number, total)
                loss = plain_step(fit.learner, optimizer, images, labels, recipe, device)
                loss.record_stream(main)
                losses.append(loss.detach())
        for lane in lanes:
            main.wait_stream(lane)
        return torch.stack(losses)

    failed = train(fits, step, count, recipe, device, after_step)
    yield from outcomes(fits, failed)
