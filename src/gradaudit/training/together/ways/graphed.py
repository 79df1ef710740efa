"""Fits one after the other through a CUDA graph of the step, captured once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from math import ceil
from typing import Any

import torch
from torch import Tensor, nn

from gradaudit.errors import first_line
from gradaudit.training.fitting import optimizer_of, set_rate
from gradaudit.training.recipe import Recipe
from gradaudit.training.together.member import Member
from gradaudit.training.together.ways._lockstep import Fit, outcomes, train
from gradaudit.training.together.ways._marks import marked
from gradaudit.training.together.ways._plain import plain_step, tried, why_not_plain

WARM_UP = 3  # steps before a capture, as torch's notes on CUDA graphs ask for


def _why_not(member: Member, recipe: Recipe, device: torch.device) -> str | None:
    if device.type != "cuda":
        return "only CUDA has graphs"
    unfit = why_not_plain(member, recipe, device)
    if unfit:
        return unfit
    learner, images, labels = tried(member, device)
    try:
        GraphedStep(learner, recipe, device, 1)(0, [(images, labels)])
    except Exception as error:  # a user's module may wait for the device, which can't be captured
        return f"the learner's step can't be captured ({type(error).__name__}: {first_line(error)[:200]})"
    return None


@marked(_why_not, in_turn=True)
def graphed(
    members: Sequence[Member], count: int, recipe: Recipe, device: torch.device, after_step: Callable[[int], None]
) -> Iterator[dict[int, Any]]:
    """The whole step is one launch, recorded with the first fit and played again for the others.

    Args:
        members: the fits, for whose learner and recipe there is no `why_not`.
        count: number of training images.
        recipe: of all; its seed is not used.
        device: a CUDA device.
        after_step: called after each step with the number of fits that made one.

    Raises:
        TrainingError: a loss is no longer finite.
    """
    step: GraphedStep | None = None
    for position, member in enumerate(members):
        fit = Fit(member, device)
        if step is None:
            step = GraphedStep(fit.learner, recipe, device, recipe.epochs * ceil(count / recipe.batch_size))
        else:
            step.begin(fit.learner)
            fit.learner = step.learner
        failed = train([fit], step, count, recipe, device, after_step)
        for ended in outcomes([fit], failed):
            yield {position: ended[0]} if ended else {}


class GraphedStep:
    """A training step that is recorded at the first batch of each size, and from then on one launch.

    Args:
        learner: on the device, in training mode; its tensors stay where they are for good.
        recipe: whose step it is.
        device: a CUDA device.
        total: steps of a fit.
    """

    def __init__(self, learner: nn.Module, recipe: Recipe, device: torch.device, total: int) -> None:
        self.learner = learner
        self.recipe, self.device, self.total = recipe, device, total
        self.optimizer = optimizer_of(learner.parameters(), recipe)
        # A recorded step reads its rate from the device: a number would be recorded with it.
        self.rates = [torch.zeros((), device=device) for _ in self.optimizer.param_groups]
        self.recorded: dict[int, tuple[torch.cuda.CUDAGraph, Tensor, Tensor, Tensor]] = {}

    @torch.no_grad()
    def begin(self, learner: nn.Module) -> None:
        """Start a new fit: take another learner's weights, and forget the optimizer's momenta."""
        for own, new in zip(self._tensors(), _tensors(learner), strict=True):
            own.copy_(new)
        self._forget()
        self.learner.train()

    def __call__(self, number: int, batches: list[tuple[Tensor, Tensor]]) -> Tensor:
        """The loss (1,) of the only batch, after changing the weights."""
        [(images, labels)] = batches
        if len(labels) not in self.recorded:
            self.recorded[len(labels)] = self._record(images, labels)
        graph, own_images, own_labels, loss = self.recorded[len(labels)]
        own_images.copy_(images)
        own_labels.copy_(labels)
        set_rate(self.optimizer, self.recipe, number, self.total)
        for rate, group in zip(self.rates, self.optimizer.param_groups, strict=True):
            rate.fill_(group["lr"])
        graph.replay()
        return loss.detach().clone().view(1)

    def _record(self, images: Tensor, labels: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor, Tensor]:
        """The step on copies of a batch of this size; weights, buffers and momenta are left as they are."""
        images, labels = images.clone(), labels.clone()
        for rate, group in zip(self.rates, self.optimizer.param_groups, strict=True):
            group["lr"] = rate
            if "capturable" in group:
                group["capturable"] = True
        begun = bool(self.optimizer.state)
        kept = [value.detach().clone() for value in self._tensors() + self._momenta()]
        side = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self._step(images, labels)
        torch.cuda.current_stream(self.device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph):
            loss = self._step(images, labels)
        with torch.no_grad():
            for value, before in zip(self._tensors() + (self._momenta() if begun else []), kept, strict=True):
                value.copy_(before)
        if not begun:
            self._forget()
        return graph, images, labels, loss

    def _step(self, images: Tensor, labels: Tensor) -> Tensor:
        return plain_step(self.learner, self.optimizer, images, labels, self.recipe, self.device)

    def _forget(self) -> None:
        # Momenta of zero are those before the first step, and so is a count of no steps.
        for value in self._momenta():
            value.zero_()

    def _tensors(self) -> list[Tensor]:
        return _tensors(self.learner)

    def _momenta(self) -> list[Tensor]:
        return [value for state in self.optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]


def _tensors(learner: nn.Module) -> list[Tensor]:
    return [*chain(learner.parameters(), learner.buffers())]
