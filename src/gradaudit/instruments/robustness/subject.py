"""The classifier as the attacker meets it, and what counts as a success against it."""

from __future__ import annotations

from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from gradaudit.batching import check_logits
from gradaudit.errors import InputError, require

SLACK = 1e-6  # of a pixel: what fp32 rounds away


class Averaged(nn.Module):
    """The mean of a randomised classifier's logits over some passes: gradients in expectation over its own randomness.

    Athalye, Carlini and Wagner (2018), section 5.2 (EOT).
    """

    def __init__(self, classifier: nn.Module, passes: int) -> None:
        super().__init__()
        self.classifier, self.passes = classifier, passes

    def forward(self, images: Tensor) -> Tensor:
        """Mean logits (N, K)."""
        logits: Tensor = self.classifier(images)
        for _ in range(self.passes - 1):
            logits = logits + self.classifier(images)
        return logits / self.passes


@torch.no_grad()
def is_label(classifier: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Boolean (N,): which images the classifier gives their label, in one pass."""
    found: Tensor = check_logits(classifier(images), images).argmax(dim=1) == labels
    return found


def check_moved(name: str, moved: Any, images: Tensor, norm: str, eps: float) -> Tensor:
    """The images that an attack found, after checking that it kept to the rules.

    Raises:
        InputError: another shape, not finite, outside [0, 1], or further than `eps` from the images.
    """
    if not isinstance(moved, Tensor) or moved.shape != images.shape:
        raise InputError("attack", name, f"one that returns images of the shape it was given, {tuple(images.shape)}")
    found: Tensor = moved.detach().to(images)
    inside = bool(((found >= -SLACK) & (found <= 1 + SLACK)).all())  # false for NaN
    require(inside, "attack", name, "one that returns images within [0, 1], without NaN")
    far = float(distances(found - images, norm).max()) if len(images) else 0.0
    rounding = max(SLACK, torch.finfo(images.dtype).eps)  # of half precision, far above that of eps
    slack = rounding * (sqrt(images[0].numel()) if norm == "l2" and len(images) else 1) + 1e-5 * eps
    require(far <= eps + slack, "attack", name, f"one that stays within eps (={eps:g}); it went as far as {far:g}")
    return found


def distances(delta: Tensor, norm: str) -> Tensor:
    """The length (N,) of each delta (C, H, W) of (N, C, H, W)."""
    found: Tensor = torch.linalg.vector_norm(delta.flatten(1), ord=2 if norm == "l2" else float("inf"), dim=1)
    return found
