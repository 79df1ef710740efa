"""Adversarial training."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from gradaudit.training.perturbations import Norm, pgd


def adversarial(
    classifier: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    norm: Norm = "l2",
    eps: float = 1.0,
    steps: int = 10,
    step_size: float | None = None,
    random_start: bool = True,
    restarts: int = 1,
) -> Tensor:
    """Mean cross-entropy at adversarial examples found by PGD.

    Madry et al. (2018), equation 2.1. The examples are made in evaluation mode, the loss is taken in training mode.

    Args:
        classifier: images in [0, 1] to logits (N, K).
        images: floats (N, C, H, W) in [0, 1].
        labels: int64 (N,).
        norm: `"l2"` or `"linf"`.
        eps: radius of every image's own ball, in pixel values of [0, 1].
        steps: PGD steps.
        step_size: length of a step; 2.5 * eps / steps unless given.
        random_start: begin at a random point of the ball.
        restarts: attacks on an image, of which the worst counts; see `pgd`.

    Raises:
        InputError: an argument out of its range.
    """
    examples = pgd(
        classifier,
        images,
        labels,
        norm=norm,
        eps=eps,
        steps=steps,
        step_size=step_size,
        random_start=random_start,
        restarts=restarts,
    )
    return F.cross_entropy(classifier(examples), labels)
