"""Fits whose weights are stacked, so that one kernel serves them all."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from math import ceil
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from gradaudit.errors import first_line
from gradaudit.training.fitting import autocast, optimizer_of, set_rate
from gradaudit.training.objectives.standard import standard
from gradaudit.training.recipe import Recipe
from gradaudit.training.together.member import Member
from gradaudit.training.together.ways._lockstep import Fit, outcomes, train
from gradaudit.training.together.ways._marks import marked
from gradaudit.training.together.ways._plain import tried, why_not_plain

Tensors = dict[str, Tensor]


def _why_not(member: Member, recipe: Recipe, device: torch.device) -> str | None:
    unfit = why_not_plain(member, recipe, device)
    if unfit:
        return unfit
    learner, images, labels = tried(member, device)
    stack = Stack([copy.deepcopy(learner) for _ in range(2)])
    try:
        found = stack.losses(images.expand(2, *images.shape), labels.expand(2, *labels.shape))
        found.sum().backward()  # type: ignore[no-untyped-call]
    except Exception as error:  # a user's module may raise anything
        return f"torch.func.vmap can't take the learner ({type(error).__name__}: {first_line(error)[:200]})"
    own = standard(learner, images, labels)
    if not torch.allclose(found, own.expand(2), rtol=1e-2, atol=1e-3):
        return "the learner computes something else under torch.func.vmap"
    return None


@marked(_why_not)
def stacked(
    members: Sequence[Member],
    count: int,
    recipe: Recipe,
    device: torch.device,
    after_step: Callable[[int], None],
    *,
    compile: bool = False,
) -> Iterator[dict[int, Any]]:
    """Stacked weights under `torch.func.vmap`: batched matrix products and grouped convolutions, one optimizer.

    Args:
        members: the fits, for whose learner and recipe there is no `why_not`.
        count: number of training images.
        recipe: of all; its seed is not used.
        device: where they are trained.
        after_step: called after each step with the number of fits that made one.
        compile: whether `torch.compile` makes one program of the step; once in a process for all learners that are alike.

    Raises:
        TrainingError: a loss is no longer finite; the other members' outcomes come first.
    """
    # A lone member trains beside a copy: kernels for one differ in the last digits from those for several.
    fits = [Fit(member, device) for member in (members if len(members) > 1 else [*members, *members])]
    stack = Stack([fit.learner for fit in fits], compile=compile)
    optimizer = optimizer_of(stack.weights.values(), recipe)
    total = recipe.epochs * ceil(count / recipe.batch_size)

    def step(number: int, batches: list[tuple[Tensor, Tensor]]) -> Tensor:
        images, labels = (torch.stack(parts) for parts in zip(*batches, strict=True))
        set_rate(optimizer, recipe, number, total)
        optimizer.zero_grad(set_to_none=True)
        with autocast(recipe, device):
            losses = stack.losses(images, labels)
        # No member's loss depends on another's weights.
        losses.sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return losses.detach()

    failed = train(fits, step, count, recipe, device, lambda _: after_step(len(members)))
    stack.settle()
    yield from outcomes(fits[: len(members)], {place: error for place, error in failed.items() if place < len(members)})


class Stack:
    """Learners of one kind as one set of tensors, a member a row.

    Args:
        learners: alike but for their weights and buffers.
        compile: whether the losses are computed by a compiled program.
    """

    def __init__(self, learners: Sequence[nn.Module], compile: bool = False) -> None:
        self.learners = learners
        self.weights, self.buffers = stack_module_state(list(learners))
        self._losses = torch.compile(_losses, dynamic=False) if compile else _losses

    def losses(self, images: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropies (G,) of images (G, n, C, H, W) and labels (G, n); running statistics are updated."""
        return self._losses(self.learners[0], self.weights, self.buffers, images, labels)

    @torch.no_grad()
    def settle(self) -> None:
        """Give every learner its row."""
        stack = self.weights | self.buffers
        for row, learner in enumerate(self.learners):
            for name, value in chain(learner.named_parameters(), learner.named_buffers()):
                value.copy_(stack[name][row])


def _losses(learner: nn.Module, weights: Tensors, buffers: Tensors, images: Tensor, labels: Tensor) -> Tensor:
    def loss(weights: Tensors, buffers: Tensors, images: Tensor, labels: Tensor) -> Tensor:
        return standard(partial(functional_call, learner, (weights, buffers)), images, labels)  # type: ignore[arg-type]

    losses: Tensor = vmap(loss)(weights, buffers, images, labels)
    return losses
