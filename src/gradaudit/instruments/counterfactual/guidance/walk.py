"""The walk from noisy images to counterfactuals: each step's estimate, pull and record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from gradaudit.diffusion import Denoiser
from gradaudit.errors import InputError, require
from gradaudit.instruments.counterfactual.guidance.process import Estimate, Level, Process
from gradaudit.instruments.counterfactual.guidance.trace import Trace
from gradaudit.instruments.counterfactual.guidance.unets import prepared
from gradaudit.instruments.counterfactual.guidance.vectors import along
from gradaudit.instruments.counterfactual.problem import Problem, Solution
from gradaudit.noise import normal

ROUNDING = 8.0  # units in the last place by which two estimates of one image may differ
AROUND = 1  # stream of the noise where images must not change, so that the rest of the walk draws as it does without a region


@dataclass(frozen=True)
class Point:
    """Where the images are at a step, and the way back to x_t.

    Args:
        images: x0_hat as images in [0, 1] but for errors, floats (N, C, H, W), constant.
        noise: the noise that the denoiser sees in x_t, likewise.
        back: the product of a gradient at `images` with their Jacobian: the gradient with respect to x_t. Repeatable.
        sources: a random generator for each image.
        evidence: the direction of the denoiser's own class evidence at x_t, s(x|t) - s(x): (N, C, H, W), constant.
        reach: how far a pull of 1 on x_t, a score, moves x0_hat: (1 - abar) / sqrt(abar), in pixel values of [0, 1].
    """

    images: Tensor
    noise: Tensor
    back: Callable[[Tensor], Tensor]
    sources: list[np.random.Generator]
    evidence: Callable[[], Tensor]
    reach: float


class Pull(Protocol):
    """What pulls the images at a step.

    `through` says whether it uses `point.back`, for which a graph of the denoiser is kept.
    """

    @property
    def through(self) -> bool:
        """Whether gradients go through the denoiser."""

    def __call__(self, point: Point) -> tuple[Tensor, dict[str, Tensor]]:
        """The pull g on x_t, (N, C, H, W), and diagnostics by name, each (N,)."""


@dataclass(frozen=True)
class Step:
    """What a sampler is told of a step: the estimate's parts, and the pull, all (N, C, H, W)."""

    clean: Tensor
    noise: Tensor
    share: Tensor | None
    pull: Tensor


def guided_diffusion(
    problem: Problem,
    *,
    process: Process,
    levels: list[Level],
    pull: Pull,
    sampler: Callable[..., Tensor],
    conditional: bool = False,
    checkpointing: bool | Literal["auto"] = "auto",
) -> Solution:
    """The images noised to the first level and denoised down to the last, pulled at each.

    Where an image must not change, x_t is at every level the original with fresh noise, as in RePaint (Lugmayr et al., 2022), and
    classifiers see the original there.

    Every image draws from its own generator and has its own row of every computation, so its batch changes nothing but
    rounding. An image whose estimate or pull is not finite has failed; it gets no pull from then on and the others go on.

    Args:
        problem: with a denoiser.
        process: of that denoiser.
        levels: noise levels, falling.
        pull: what moves each step.
        sampler: a function of `guidance.samplers`, options bound.
        conditional: tell the denoiser the target class.
        checkpointing: as `prepared` takes it.

    Raises:
        InputError: the denoiser doesn't know the targets, or whatever the sampler and the denoiser raise.
    """
    sources, trace = problem.sources(), Trace(problem, len(levels))
    labels = _known(process.denoiser, problem.targets) if conditional else None
    fresh = partial(normal, sources, problem.images)
    around = partial(normal, problem.sources(AROUND), problem.images)
    walk = _Walk(problem, process, pull, labels, sources, around, trace, levels[-1])
    with prepared(process.denoiser, problem.images, checkpointing):
        clean = sampler(walk, process.noised(problem.images, levels[0], fresh()), levels, fresh)
    return trace.solution(problem.framed(process.pixels.outer(clean)))


@dataclass(frozen=True)
class _Walk:
    """What samplers call as `guide`."""

    problem: Problem
    process: Process
    pull: Pull
    labels: Tensor | None
    sources: list[np.random.Generator]
    around: Callable[[], Tensor]
    trace: Trace
    last: Level

    def __call__(self, noisy: Tensor, level: Level) -> Step:
        ahead = level != self.last
        noisy = self._framed(noisy, level)
        point, estimate, images = self._estimated(noisy, level, ahead and self.pull.through)
        force, diagnostics = torch.zeros_like(noisy), dict[str, Tensor]()
        if ahead:
            back = partial(_product, images, point)
            evidence = partial(self._evidence, noisy, level, estimate.clean.detach())
            reach = level.spread**2 / level.signal / self.process.pixels.width
            force, diagnostics = self.pull(Point(images.detach(), estimate.noise.detach(), back, self.sources, evidence, reach))
            force = self.problem.within(force)
        good = self.trace.record(images.detach(), force, diagnostics)
        clean, noise, force = (_kept(part, good) for part in (estimate.clean, estimate.noise, force))
        return Step(clean, noise, None if estimate.share is None else _kept(estimate.share, good), force)

    def _framed(self, noisy: Tensor, level: Level) -> Tensor:
        """x_t with the original at the level's noise where it must not change."""
        if self.problem.region is None:
            return noisy
        return torch.where(self.problem.region, noisy, self.process.noised(self.problem.images, level, self.around()))

    @torch.no_grad()
    def _evidence(self, noisy: Tensor, level: Level, known: Tensor) -> Tensor:
        """x0_hat given the target less x0_hat given no class: in proportion to the difference of their scores.

        What is no more than rounding, as where the denoiser takes the target for granted, is zero: it has no direction.
        """
        told = known if self.labels is not None else self.process.estimate(noisy, level, self.problem.targets).clean
        untold = known if self.labels is None else self.process.estimate(noisy, level, None).clean
        apart = told - untold
        rounding = ROUNDING * torch.finfo(apart.dtype).eps * untold.abs().amax(dim=(1, 2, 3), keepdim=True)
        return self.problem.within(torch.where(apart.abs() > rounding, apart, 0.0))

    def _estimated(self, noisy: Tensor, level: Level, through: bool) -> tuple[Tensor, Estimate, Tensor]:
        """x_t, the estimate, and x0_hat as images, with a graph between them or without."""
        point = noisy.detach().requires_grad_(through)
        with torch.set_grad_enabled(through):
            estimate = self.process.estimate(point, level, self.labels)
            images = self.problem.framed(self.process.pixels.outer(estimate.clean))
        expected = "differentiable with respect to its images, or the guidance one that has no product with it"
        require(images.requires_grad or not through, "denoiser", type(self.process.denoiser.denoise).__name__, expected)
        return point, estimate, images


def _product(images: Tensor, noisy: Tensor, gradient: Tensor) -> Tensor:
    return torch.autograd.grad(images, noisy, gradient, retain_graph=True)[0]


def _kept(part: Tensor, good: Tensor) -> Tensor:
    return torch.where(along(good, part), part.detach(), 0.0)


def _known(denoiser: Denoiser, targets: Tensor) -> Tensor:
    expected = "false: this denoiser knows no classes"
    if denoiser.classes:
        expected = f"false, or the targets below {denoiser.classes}, the denoiser's classes"
    require(not len(targets) or int(targets.max()) < denoiser.classes, "conditional", True, expected)
    return targets


def denoiser_of(problem: Problem, method: str) -> Denoiser:
    """The problem's denoiser.

    Raises:
        InputError: there is none, or it is one of images of another shape.
    """
    if problem.denoiser is None:
        raise InputError("denoiser", None, f"given: {method} makes its images by denoising")
    shape, images = problem.denoiser.shape, tuple(problem.images.shape[1:])
    fits = shape is None or tuple(shape) == images
    require(fits, "denoiser", f"of images of shape {shape}", f"of images of shape {images}, as those to be changed")
    return problem.denoiser
