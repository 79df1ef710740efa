"""The arguments of `alignment`: brought to one form, and refused before any work where they are wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gradaudit.batching import batch_size_for, evaluating, placed
from gradaudit.classifiers import check_judges
from gradaudit.diffusion import Denoiser
from gradaudit.errors import require
from gradaudit.images import ImageSet
from gradaudit.instruments.alignment.measure import AlignmentInputs
from gradaudit.instruments.alignment.methods import SCORES, Methods, resolve_methods
from gradaudit.instruments.alignment.transfer import ITSELF

FORWARD = 0.5  # of what autograd would save: a pass without gradients holds few activations at once
CPU_CAP = 64  # a U-Net's activations overflow a CPU's caches sooner than a classifier's: at 256 images it takes twice as long


def check_subjects(images: Any, denoiser: Any) -> None:
    """Raise `InputError` unless they are an image set of two images or more and a denoiser of such images."""
    require(isinstance(images, ImageSet), "images", type(images).__name__, "an ImageSet; load_images makes one")
    require(len(images) >= 2, "images", len(images), "two images or more: intervals and controls need others beside the first")
    require(isinstance(denoiser, Denoiser), "denoiser", type(denoiser).__name__, "a Denoiser; load_denoiser gives one")
    fits = denoiser.shape is None or tuple(denoiser.shape) == images.shape
    require(fits, "denoiser", f"of images of shape {denoiser.shape}", f"of images of shape {images.shape}, as those given are")


def resolve_scores(score: Any, denoiser: Denoiser) -> Methods:
    """The scores that are meant; for `"auto"` the one that the paper takes with such a denoiser.

    Raises:
        InputError: an unknown score, or one that needs the classes of a denoiser that has none.
    """
    if isinstance(score, (str, list)) and score in ("auto", ["auto"]):
        score = "conditional" if denoiser.classes else "unconditional"
    scores = resolve_methods("score", SCORES, score)
    for name, function in scores.items():
        possible = denoiser.classes > 0 or not needs_classes(function)
        require(possible, "score", name, "unconditional: this denoiser knows no classes")
    return scores


def needs_classes(score: Any) -> bool:
    """Whether a score is that of a class."""
    return bool(getattr(score.func, "needs_classes", False))


def check_classes(classifier: nn.Module, denoiser: Denoiser, images: ImageSet) -> None:
    """Raise `InputError` unless classifier, denoiser and images have as many classes."""
    with evaluating(classifier), torch.no_grad():
        count = classifier(placed(classifier, images.floats([0, 1]))).shape[1]
    expected = f"of {count} classes, as many as the classifier has logits, for a score that depends on the class"
    require(denoiser.classes == count, "denoiser", f"of {denoiser.classes} classes", expected)
    named = f"of {count} classes, as denoiser and classifier are"
    require(len(images.classes) == count, "images", f"of {len(images.classes)} classes", named)


def check_oracles(oracles: Any, classifier: nn.Module, images: ImageSet) -> tuple[dict[str, nn.Module], tuple[str, ...]]:
    """The oracles, each returning logits alone, and what must be known of any figure about them.

    Raises:
        InputError: one is no classifier of these images, has another number of logits, or is the audited one itself.
    """
    good = isinstance(oracles, Mapping) and all(isinstance(name, str) and name.strip() and name != ITSELF for name in oracles)
    require(good, "oracles", oracles, f"None, or classifiers by name, none of them {ITSELF!r}")
    return check_judges(oracles, classifier, images, "audited")


def resolve_batch_size(batch_size: int | str, inputs: AlignmentInputs, sigma: float, conditional: bool) -> int:
    """The number of images at once: the one given, or for `"auto"` as many as fit in memory."""
    if not isinstance(batch_size, str):
        return batch_size
    sample = inputs.images.floats([0, 1], inputs.device)
    labels = inputs.images.labels[:2] if conditional else None
    denoising = batch_size_for(_Denoising(inputs.denoiser, sigma, labels), sample, device=inputs.device, factor=FORWARD)
    fits = min(denoising, batch_size_for(inputs.classifier, sample, device=inputs.device))
    return min(fits, CPU_CAP) if inputs.device.type == "cpu" else fits


class _Denoising(nn.Module):
    """A denoiser as a module of images alone, whose memory can be measured."""

    def __init__(self, denoiser: Denoiser, sigma: float, labels: Tensor | None) -> None:
        super().__init__()
        self.denoiser, self.sigma, self.labels = denoiser, sigma, labels

    def forward(self, images: Tensor) -> Tensor:
        denoised: Tensor = self.denoiser(images, self.sigma, self.labels)
        return denoised
