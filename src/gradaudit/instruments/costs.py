"""What an audit will take, before it begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Set
from dataclasses import dataclass, replace

import torch
from torch import nn

from gradaudit.batching import frozen
from gradaudit.diffusion import Denoiser
from gradaudit.images import ImageSet
from gradaudit.instruments.setup import Setup
from gradaudit.progress import duration

BATCH = 32


@dataclass(frozen=True)
class Cost:
    """What an instrument takes.

    Args:
        learners: the keys of networks to train that others may share.
        networks: to train besides.
        gradients: images through the classifier, forward and back.
        denoised: images through the denoiser; guidance counts its way back as two more.
        seconds: predicted for the learners.
        besides: seconds predicted for what the counts do not say.
    """

    learners: frozenset[str] = frozenset()
    networks: int = 0
    gradients: int = 0
    denoised: int = 0
    seconds: float = 0.0
    besides: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.learners | other.learners,
            self.networks + other.networks,
            self.gradients + other.gradients,
            self.denoised + other.denoised,
            self.seconds + other.seconds,
            self.besides + other.besides,
        )

    def without(self, trained: Set[str]) -> Cost:
        """What is left of it where some learners are trained already."""
        left = self.learners - trained
        share = len(left) / len(self.learners) if self.learners else 1.0
        return replace(self, learners=left, seconds=share * self.seconds)


@dataclass(frozen=True)
class ImageSeconds:
    """Seconds for an image: through the classifier and back, and through the denoiser (0 where there is none)."""

    gradient: float
    denoising: float

    def seconds(self, cost: Cost) -> float:
        """The predicted time of what an instrument takes."""
        return cost.seconds + cost.besides + cost.gradients * self.gradient + cost.denoised * self.denoising


def image_seconds(classifier: nn.Module, denoiser: Denoiser | None, images: ImageSet, device: torch.device) -> ImageSeconds:
    """What an image costs, measured on a batch."""
    batch = images.floats(slice(0, BATCH)).to(device)
    classifier.to(device)

    def back() -> None:
        with frozen(classifier):
            inputs = batch.clone().requires_grad_()
            torch.autograd.grad(classifier(inputs).sum(), inputs)

    if denoiser is None:
        return ImageSeconds(_a_call(back) / len(batch), 0.0)
    denoise = denoiser.to(device)

    @torch.no_grad()
    def denoised() -> None:
        denoise(batch, 0.25)

    return ImageSeconds(_a_call(back) / len(batch), _a_call(denoised) / len(batch))


def spelled(cost: Cost, setup: Setup, name: str) -> str:
    """What an instrument takes for a classifier of the setup, with the time predicted."""
    if name in setup.classifiers:
        predicted = image_seconds(setup.classifiers[name], setup.denoiser, setup.test, setup.run.device).seconds(cost)
    else:
        predicted = cost.seconds + cost.besides
    networks = len(cost.learners) + cost.networks
    counts = ((networks, "networks to train"), (cost.gradients, "gradients"), (cost.denoised, "denoised images"))
    work = ", ".join(f"{count:,} {what}" for count, what in counts if count) or "nothing that the store does not have"
    return f"{work}: about {duration(predicted)}"


def _a_call(work: Callable[[], None]) -> float:
    work()  # the first call is slow
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
