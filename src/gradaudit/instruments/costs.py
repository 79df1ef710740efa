"""What an audit will take, before it begins."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.attributions import Attribution, attribute, images_without_classifier
from gradaudit.batching import batch_size_for, bytes_per_image, evaluating, forward_size, frozen, placed, saved_bytes
from gradaudit.classifiers import check_classifier
from gradaudit.diffusion import Denoiser
from gradaudit.errors import InputError
from gradaudit.images import ImageSet
from gradaudit.instruments.setup import Setup
from gradaudit.memory import resident, spelled_bytes
from gradaudit.progress import duration

BATCH = 32
CALLS = 3  # of which the middle one counts
HELD = 8  # arrays of a batch of images that maps without a classifier hold at once
WORKER = 350 * 10**6  # bytes of a worker's interpreter and libraries
GRADIENT, FORWARD = 1.15, 0.45  # bytes at the peak of a pass with its way back, and of one without, for each that autograd saves


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
        forwards: images through the classifier forward alone.
        memory: bytes at the peak beside what the process holds before, on a CPU; of all workers together where there are several;
            NaN where that is not predicted.
    """

    learners: frozenset[str] = frozenset()
    networks: int = 0
    gradients: int = 0
    denoised: int = 0
    seconds: float = 0.0
    besides: float = 0.0
    forwards: int = 0
    memory: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        """Of one after the other."""
        return Cost(
            self.learners | other.learners,
            self.networks + other.networks,
            self.gradients + other.gradients,
            self.denoised + other.denoised,
            self.seconds + other.seconds,
            self.besides + other.besides,
            self.forwards + other.forwards,
            float(np.maximum(self.memory, other.memory)),  # NaN where one is
        )

    def without(self, trained: Set[str]) -> Cost:
        """What is left of it where some learners are trained already."""
        left = self.learners - trained
        share = len(left) / len(self.learners) if self.learners else 1.0
        return replace(self, learners=left, seconds=share * self.seconds)


@dataclass(frozen=True)
class ImageSeconds:
    """Seconds for an image: through the classifier and back, through the denoiser (0 where there is none), through the classifier
    forward alone.
    """

    gradient: float
    denoising: float
    forward: float = 0.0

    def seconds(self, cost: Cost) -> float:
        """The predicted time of what an instrument takes."""
        passes = cost.gradients * self.gradient + cost.forwards * self.forward + cost.denoised * self.denoising
        return cost.seconds + cost.besides + passes


def image_seconds(classifier: nn.Module, denoiser: Denoiser | None, images: ImageSet, device: torch.device) -> ImageSeconds:
    """What an image costs, measured on a batch that fits in memory."""
    classifier.to(device)
    size = _timed_size(classifier, images, device)
    gradient, alone = _there_and_back(classifier, images, size), _forward_alone(classifier, images, size)
    if denoiser is None:
        return ImageSeconds(gradient, 0.0, alone)
    denoise, noisy = denoiser.to(device), images.floats(slice(0, size), device)

    @torch.no_grad()
    def denoised() -> None:
        denoise(noisy, 0.25)

    return ImageSeconds(gradient, _a_call(denoised) / len(noisy), alone)


def seconds_more(classifier: nn.Module, images: ImageSet, device: torch.device, back: int, alone: int) -> ImageSeconds:
    """How much longer an image takes in batches of `back` there and back, of `alone` forward alone, than `image_seconds` says.

    Nothing where these are no smaller than the batch that it times.
    """
    classifier.to(device)
    size = _timed_size(classifier, images, device)
    found = [
        max(0.0, timed(classifier, images, one) - timed(classifier, images, size)) if one < size else 0.0
        for timed, one in ((_there_and_back, back), (_forward_alone, alone))
    ]
    return ImageSeconds(found[0], 0.0, found[1])


def _timed_size(classifier: nn.Module, images: ImageSet, device: torch.device) -> int:
    return min(BATCH, batch_size_for(classifier, images.floats([0]), device=device), len(images))


def _there_and_back(classifier: nn.Module, images: ImageSet, size: int) -> float:
    """Seconds of an image's gradient, in a batch of so many."""
    batch = placed(classifier, images.floats(slice(0, size)))

    def back() -> None:
        with frozen(classifier):
            inputs = batch.clone().requires_grad_()
            torch.autograd.grad(classifier(inputs).sum(), inputs)

    return _a_call(back) / size


def _forward_alone(classifier: nn.Module, images: ImageSet, size: int) -> float:
    """Seconds of an image's way forward, in a batch of so many."""
    batch = placed(classifier, images.floats(slice(0, size)))

    @torch.no_grad()
    def forward() -> None:
        with evaluating(classifier):
            classifier(batch)

    return _a_call(forward) / size


def gradient_bytes(classifier: nn.Module, images: ImageSet, device: torch.device, most: int | None = None) -> float:
    """Bytes at the peak of a batch's gradients, of the usual size for the memory allowed, of at most so many or all images."""
    sample = images.floats([0])
    size = min(batch_size_for(classifier, sample, device=device), most or len(images), len(images))
    return GRADIENT * size * bytes_per_image(classifier, sample)


def forward_bytes(classifier: nn.Module, images: ImageSet, device: torch.device, most: int, copies: int = 1) -> float:
    """Bytes at the peak of a batch's way forward, of at most so many images; or copies of images."""
    sample = images.floats([0])
    size = min(forward_size(classifier, sample, device=device, most=most), copies * len(images))
    return FORWARD * size * bytes_per_image(classifier, sample)


def denoiser_bytes(denoiser: Denoiser, images: ImageSet, device: torch.device) -> float:
    """Bytes that autograd saves for one image on its way through the denoiser, the image and its gradient included."""
    one = images.floats([0], device)
    with frozen(denoiser.to(device)):
        return float(saved_bytes(denoiser, lambda: denoiser(one.requires_grad_(), 0.25)) + 2 * one.nbytes)


def of_workers(each: float, workers: int) -> float:
    """Bytes that so many workers take together; one is this process, which holds interpreter and libraries already."""
    return each if workers == 1 or not each else workers * (each + WORKER)


def mapping(classifier: nn.Module, images: ImageSet, maps: Mapping[str, Attribution], device: torch.device, times: int = 1) -> Cost:
    """Maps of every image by these attributions: the passes of each that needs the classifier, counted at two of the images, the
    time of one for others; and what is checked first. Where an image's map is a sum of maps, one a class, `times` says of how many.
    """
    made = [one for one in maps.values() if one.scores is None]
    free, first = [one for one in made if not one.needs_classifier], images[:1]
    seconds = sum(second_call(partial(_one_map, classifier, first, one, device)) for one in free)
    asked = [_asking(classifier, images, one, device, times) for one in made if one.needs_classifier]
    asking = [one for one in asked if one is not None]
    once = second_call(partial(check_classifier, classifier, images))
    held = HELD * 4 * images.images[0].numel() * min(len(images), images_without_classifier(images)) if free else 0.0
    memory = max(held, gradient_bytes(classifier, images, device) if asking else 0.0)
    return sum(asking, Cost(besides=len(images) * seconds + once, memory=memory))


def _one_map(classifier: nn.Module, images: ImageSet, one: Attribution, device: torch.device) -> None:
    for _ in attribute(classifier, images, one, device=device):
        pass


def _asking(classifier: nn.Module, images: ImageSet, one: Attribution, device: torch.device, times: int) -> Cost | None:
    """The passes of all maps, and the seconds before the first; None where the classifier can't have them: an instrument leaves
    such a control out, or says so before it begins.
    """
    try:
        gradients, forwards = passes_of_a_map(classifier, images, one, device)
        opening = _seconds(partial(attribute, classifier, images, one, device=device))  # the first was when passes were counted
    except InputError:
        return None
    count = times * len(images)
    return Cost(gradients=count * gradients, forwards=count * forwards, besides=opening)


def passes_of_a_map(classifier: nn.Module, images: ImageSet, one: Attribution, device: torch.device) -> tuple[int, int]:
    """How often an image passes through the classifier for its map: there and back, and forward alone.

    Two images' passes less one's, so that what is done once a batch is left out; at least one pass. A classifier of which an
    attribution asks parts alone counts as passed once.

    Raises:
        InputError: the classifier can't have such a map.
    """
    counts = [_passes(classifier, few, one, device) for few in ([images[:2], images[:1]] if len(images) > 1 else [images])]
    gradients, forwards = (first - sum(rest) for first, *rest in zip(*counts, strict=True))
    return (gradients, forwards) if gradients > 0 or forwards > 0 else (1, 0)


def _passes(classifier: nn.Module, images: ImageSet, one: Attribution, device: torch.device) -> tuple[int, int]:
    """Of all images together, in one batch."""
    found = {"gradients": 0, "forwards": 0}

    def counted(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        found["gradients" if torch.is_grad_enabled() and given[0].requires_grad else "forwards"] += len(given[0])

    hook = classifier.register_forward_pre_hook(counted)
    try:
        maps = attribute(classifier, images, one, batch_size=len(images), device=device, warn=False)
        found.update(gradients=0, forwards=0)  # of what is checked first
        for _ in maps:
            pass
    finally:
        hook.remove()
    return found["gradients"], found["forwards"]


@dataclass(frozen=True)
class Prediction:
    """What an instrument will take of this machine.

    Args:
        seconds: of time.
        memory: bytes of main memory that the process holds at its peak, and its workers with it; NaN where that isn't predicted: on
            an accelerator, and where the system does not say what a process holds.
    """

    seconds: float
    memory: float


def predicted(cost: Cost, each: ImageSeconds | None, device: torch.device) -> Prediction:
    """The prediction from the costs; nothing but what is predicted already where no classifier was timed."""
    held = resident()
    memory = float("nan") if held is None or device.type != "cpu" else held + cost.memory
    return Prediction(cost.seconds + cost.besides if each is None else each.seconds(cost), memory)


def spelled(cost: Cost, setup: Setup, name: str) -> str:
    """What an instrument takes for a classifier of the setup, with the time and the memory predicted."""
    each = None
    if name in setup.classifiers:
        each = image_seconds(setup.classifiers[name], setup.denoiser, setup.test, setup.run.device)
    networks = len(cost.learners) + cost.networks
    counts = (
        (networks, "networks to train"),
        (cost.gradients, "gradients"),
        (cost.forwards, "images forward"),
        (cost.denoised, "denoised images"),
    )
    work = ", ".join(f"{count:,} {what}" for count, what in counts if count) or "nothing that the store does not have"
    found = predicted(cost, each, setup.run.device)
    return f"{work}: about {duration(found.seconds)}, {with_memory(found.memory)}"


def with_memory(memory: float) -> str:
    """What is said of memory after the time."""
    if memory != memory:
        return "memory not predicted"
    return f"{spelled_bytes(memory)} of memory"


def second_call(work: Callable[[], object]) -> float:
    """Seconds of some work beside the classifier: of its second call, for the first is slow."""
    work()
    return _seconds(work)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _a_call(work: Callable[[], None]) -> float:
    work()  # the first call is slow
    return statistics.median(_seconds(work) for _ in range(CALLS))
