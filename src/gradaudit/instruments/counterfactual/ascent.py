"""The ascent that Auto-PGD and adaptive Frank-Wolfe share: steps that halve, and returns to the best point."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gradaudit.batching import frozen
from gradaudit.instruments.counterfactual.problem import Problem, Solution, confidences

FRAMES = 24
RISING = 0.75  # rho: the share of rising steps below which a step is too long


@dataclass(frozen=True)
class Place:
    """Where an ascent stands before a step.

    Args:
        images: (N, C, H, W).
        before: where it was a step ago; the same images at the start, and where the ascent has just returned to its best point.
        direction: the gradients, or their running mean, (N, C, H, W).
        length: each image's step size, (N, 1, 1, 1).
        first: whether this is the first step.
    """

    images: Tensor
    before: Tensor
    direction: Tensor
    length: Tensor
    first: bool


Move = Callable[[Place], Tensor]


def ascend(problem: Problem, start: Tensor, move: Move, *, steps: int, length: float, momentum: float = 0.0) -> Solution:
    """The best points (highest objective) of an ascent with each image's own step size.

    At checkpoints that come ever closer, the step of an image is halved, and the image returns to its best point, where fewer
    than three quarters of its steps rose, or where neither step size nor best value changed since the last checkpoint.

    The diagnostics are those of the points after each step; the frames are of the best points so far, after the original. An
    image whose objective or gradient is not finite fails alone.

    Source: Croce and Hein (2020), Reliable evaluation of adversarial robustness, algorithm 1; with a Frank-Wolfe
    step, Boreiko et al. (2022).

    Args:
        problem: the images, their targets and the classifier.
        start: where to begin, (N, C, H, W).
        move: from a place to the next images, within the constraints.
        steps: how many, 1 or more.
        length: the first step size.
        momentum: the share that the running mean of gradients keeps at each step; 0 for the gradient alone.
    """
    ends = checkpoints(steps)
    shown = {round(float(step)) for step in np.linspace(0, steps, min(FRAMES, steps + 1))[1:]}
    with frozen(problem.classifier):
        climb = _Climb(problem, start, length)
        frames = [_pixels(problem.images)]
        for step in range(1, steps + 1):
            climb.step(move, momentum)
            if step in shown:
                frames.append(_pixels(climb.best()))
            if step in ends:
                climb.check()
    return Solution(climb.best(), climb.diagnostics(), _whole(frames, climb), tuple(climb.failed))


def checkpoints(steps: int) -> set[int]:
    """The steps after which the step sizes are judged: Croce and Hein (2020).

    They come after shares of the steps of 0, 0.22 and so on, each interval 0.03 shorter than the one before, but at least 0.06.
    """
    ends, share, interval = set(), 0.22, 0.22
    while share < 1:
        ends.add(math.ceil(round(share * steps, 9)))  # 0.5 of 8 steps is 4, whatever the last bit says
        interval = max(interval - 0.03, 0.06)
        share += interval
    return ends


class _Climb:
    """The images on their way, the best point of each, and what decides its next step size."""

    def __init__(self, problem: Problem, start: Tensor, length: float) -> None:
        self.problem = problem
        self.failed: list[str | None] = [None] * len(start)
        self.alive = torch.ones(len(start), dtype=torch.bool, device=start.device)
        self.taken = 0
        self.images = self.before = start.detach()
        self.value, self.gradient = self._evaluate()
        self.direction = self.gradient
        self.best_images, self.best_value, self.best_gradient = self.images, self.value, self.gradient
        self.length = torch.full((len(start), 1, 1, 1), length, dtype=start.dtype, device=start.device)
        self.rises, self.since = torch.zeros_like(self.value), 0
        self.checked_value, self.halved = self.best_value, torch.zeros_like(self.alive)
        self.record: dict[str, list[Tensor]] = {}

    def step(self, move: Move, momentum: float) -> None:
        """Move every image, and keep its new point where that is its best."""
        if self.taken and momentum:
            self.direction = momentum * self.direction + (1 - momentum) * self.gradient
        else:
            self.direction = self.gradient
        place = Place(self.images, self.before, self._living(self.direction, 0.0), self.length, self.taken == 0)
        self.taken += 1
        self.before, self.images = self.images, self._living(move(place).detach(), self.problem.images)
        old = self.value
        self.value, self.gradient = self._evaluate()
        self.rises += self.value > old
        self.since += 1
        self._keep()
        self._note()

    def check(self) -> None:
        """Halve the steps that were too long, and return those images to their best points."""
        stuck = ~self.halved & (self.best_value <= self.checked_value)
        self.halved = (self.rises < RISING * self.since) | stuck
        self.checked_value = self.best_value
        self.rises, self.since = torch.zeros_like(self.rises), 0
        each = self.halved[:, None, None, None]
        self.length = torch.where(each, self.length / 2, self.length)
        self.images = torch.where(each, self.best_images, self.images)
        self.before = torch.where(each, self.images, self.before)  # from a point that was left there is no momentum
        self.gradient = torch.where(each, self.best_gradient, self.gradient)
        self.value = torch.where(self.halved, self.best_value, self.value)

    def best(self) -> Tensor:
        """The best point of each image so far, or the original of one that failed."""
        return self._living(self.best_images, self.problem.images)

    def diagnostics(self) -> dict[str, Tensor]:
        """What was noted of each step, float32 (N, S)."""
        return {name: torch.stack(values, dim=1) for name, values in self.record.items()}

    def _evaluate(self) -> tuple[Tensor, Tensor]:
        images = self.images.requires_grad_()
        terms = self.problem.log_probabilities(images)
        values = terms.sum(dim=1)
        (gradient,) = torch.autograd.grad(values.sum(), images)
        self.images, values = images.detach(), values.detach()
        self.confidences = confidences(terms.detach())
        finite = values.isfinite() & gradient.flatten(1).isfinite().all(dim=1)
        self._fail(self.alive & ~finite)
        return torch.where(self.alive, values, math.nan), self._living(gradient, 0.0)

    def _fail(self, which: Tensor) -> None:
        for index in which.nonzero().flatten().tolist():
            self.failed[index] = f"log p(target) or its gradient was not finite after {self.taken} steps"
        self.alive = self.alive & ~which

    def _keep(self) -> None:
        better = self.value > self.best_value
        each = better[:, None, None, None]
        self.best_value = torch.where(better, self.value, self.best_value)
        self.best_images = torch.where(each, self.images, self.best_images)
        self.best_gradient = torch.where(each, self.gradient, self.best_gradient)

    def _note(self) -> None:
        changes = (self.images - self.problem.images).abs().flatten(1).sum(dim=1)
        norms = torch.linalg.vector_norm(self.gradient.flatten(1), dim=1)
        now = self.confidences | {"distance": changes, "class_norm": norms}
        for name, values in now.items():
            self.record.setdefault(name, []).append(torch.where(self.alive, values.float(), math.nan))

    def _living(self, tensor: Tensor, otherwise: Tensor | float) -> Tensor:
        return torch.where(self.alive[:, None, None, None], tensor, otherwise)


def _whole(frames: list[Tensor], climb: _Climb) -> Tensor:
    # An image that failed half-way has no way to show.
    stacked = torch.stack(frames, dim=1)
    return torch.where(climb.alive[:, None, None, None, None], stacked, stacked[:, :1])


def _pixels(images: Tensor) -> Tensor:
    return images.mul(255).round().to(torch.uint8)
