"""Projected gradient descent."""

from __future__ import annotations

from torch import Tensor, nn

from gradaudit.training import perturbations
from gradaudit.training.perturbations import Norm


def pgd(
    classifier: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    norm: Norm,
    eps: float,
    steps: int = 20,
    step_size: float | None = None,
    restarts: int = 1,
    random_start: bool = True,
    seed: int = 0,
) -> Tensor:
    """Images (N, C, H, W) that raise the label's cross-entropy by projected gradient descent. Madry et al. (2018), section 2.1.

    Args:
        classifier: images in [0, 1] to logits (N, K).
        images: floats (N, C, H, W) in [0, 1].
        labels: int64 (N,).
        norm: `"l2"` or `"linf"`.
        eps: radius of the ball, in units of pixel values of [0, 1].
        steps: gradient steps.
        step_size: length of a step; 2.5 * eps / steps unless given, which is eps / 8 for 20 steps.
        restarts: independent starts, of which the worst is kept for each image.
        random_start: begin at a point drawn uniformly from the ball.
        seed: of the starts, which belong to the image and not to its batch.

    Raises:
        InputError: an argument out of its range.
    """
    return perturbations.pgd(
        classifier,
        images,
        labels,
        norm=norm,
        eps=eps,
        steps=steps,
        step_size=step_size,
        restarts=restarts,
        random_start=random_start,
        seed=seed,
    )
