"""AutoAttack, through the package `pyautoattack`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gradaudit.batching import check_logits
from gradaudit.devices import seeded
from gradaudit.errors import MissingExtraError, require, require_whole
from gradaudit.instruments.robustness.attacks._marks import after_others
from gradaudit.training.perturbations import Norm

NAMES = {"linf": "Linf", "l2": "L2"}
TARGETS = 9
SQUARE_SIDE = 5  # pixels; the L2 Square attack tiles the image with squares of a fifth of its height


@after_others
def autoattack(
    classifier: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    norm: Norm,
    eps: float,
    iterations: int = 100,
    queries: int = 5000,
    seed: int = 0,
    batch_size: int = 256,
) -> Tensor:
    """Images (N, C, H, W) found by AutoAttack's standard ensemble: APGD-CE, APGD-T, FAB-T and Square. Croce and Hein (2020).

    The targeted attacks need four classes and take at most as many targets as there are other classes; with fewer than four, APGD
    on the untargeted loss stands in. The ensemble draws its random numbers for the images of a call together.

    Args:
        classifier: images in [0, 1] to logits (N, K).
        images: floats (N, C, H, W) in [0, 1].
        labels: int64 (N,).
        norm: `"l2"` or `"linf"`.
        eps: radius of the ball, in units of pixel values of [0, 1].
        iterations: of each gradient attack; the published standard is 100.
        queries: of Square; the published standard is 5000.
        seed: of all that is drawn.
        batch_size: images that go through the classifier at once; changes memory and time alone.

    Raises:
        InputError: an argument out of its range.
        MissingExtraError: the package is not installed.
    """
    require(norm in NAMES, "norm", norm, '"l2" or "linf"')
    for argument, value in (("iterations", iterations), ("queries", queries), ("batch_size", batch_size)):
        require_whole(argument, value, 1)
    package = _package()
    if eps == 0 or len(images) == 0:
        return images.detach().clone()
    with torch.no_grad():
        classes = check_logits(classifier(images[:1]), images[:1]).shape[1]
    model = _InBatches(classifier, images.dtype, batch_size)
    names = _ensemble(classes, norm, min(images.shape[2:]))
    attack = package.AutoAttack(
        model, attacks=names, norm=NAMES[norm], eps=float(eps), seed=seed, device=images.device, version="custom"
    )
    _as_published(attack, min(TARGETS, classes - 1), iterations, queries)
    with seeded(seed, images.device), _undisturbed():
        found, _ = attack.run_standard_evaluation(images.detach().float(), labels, batch_size=len(images))
    moved: Tensor = found.to(images.dtype).clamp(0, 1)
    return moved


def _ensemble(classes: int, norm: Norm, side: int) -> list[str]:
    """The attacks that can run: the difference-of-logits-ratio loss needs three logits, its targeted form four."""
    gradient = ["apgd-t"] if classes >= 4 else ["apgd-dlr"] if classes == 3 else []
    square = ["square"] if norm == "linf" or side >= SQUARE_SIDE else []
    return ["apgd-ce", *gradient, "fab-t", *square]


def _as_published(attack: Any, targets: int, iterations: int, queries: int) -> None:
    """The settings of the version "standard", which the package lets go when the attacks are named."""
    for part in (attack.apgd, attack.apgd_targeted, attack.fab):
        part.n_restarts, part.n_iter, part.n_iter_orig = 1, iterations, iterations
    attack.apgd_targeted.n_target_classes = attack.fab.n_target_classes = targets
    attack.square.n_queries = queries
    attack.verbose = False


class _InBatches(nn.Module):
    """The classifier as the package needs it: fp32 outside, contiguous gradients, and a memory that the batch size bounds."""

    def __init__(self, classifier: nn.Module, dtype: torch.dtype, batch_size: int) -> None:
        super().__init__()
        self.classifier, self.dtype, self.batch_size = classifier, dtype, batch_size

    def forward(self, images: Tensor) -> Tensor:
        if images.requires_grad:
            images = images.view_as(images)
            images.register_hook(Tensor.contiguous)  # type: ignore[no-untyped-call]  # the package takes views of it
        parts = torch.split(images.to(self.dtype), self.batch_size)
        # The package asks for one gradient of the whole group; a part's activations are computed again when it comes to that.
        again = images.requires_grad and len(parts) > 1
        run = [checkpoint(self.classifier, part, use_reentrant=False) if again else self.classifier(part) for part in parts]
        return torch.cat(run).float()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Silence inside, and the trace function of a debugger or coverage tool, which the package drops, put back."""
    logger, trace = logging.getLogger("auto-attack"), sys.gettrace()
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
        sys.settrace(trace)


def _package() -> ModuleType:
    try:
        import pyautoattack
    except ImportError as error:
        raise MissingExtraError("pyautoattack", "autoattack", "AutoAttack") from error
    found: ModuleType = pyautoattack
    return found
