"""TRADES: accuracy on the images, and the same answer around them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradaudit.batching import frozen
from gradaudit.training.objectives._checks import require_amount
from gradaudit.training.objectives._precision import at_least_fp32
from gradaudit.training.perturbations import Norm, check_ball, climb, project

START = 1e-3  # at the image itself the divergence has no gradient


def trades(
    classifier: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    beta: float = 6.0,
    norm: Norm = "linf",
    eps: float = 0.3,
    steps: int = 10,
    step_size: float | None = None,
) -> Tensor:
    """Mean cross-entropy, plus beta times the mean divergence KL(p(image) || p(neighbour)) at the worst neighbour in the ball.

    Zhang et al. (2019), algorithm 1, with beta for their 1/lambda. The neighbour is found in evaluation mode by
    projected gradient ascent on the divergence, from the image plus Gaussian noise of standard deviation 0.001; the gradient of
    the loss goes through both distributions.

    Args:
        classifier: images in [0, 1] to logits (N, K).
        images: floats (N, C, H, W) in [0, 1].
        labels: int64 (N,).
        beta: weight of the divergence, 0 or more.
        norm: `"l2"` or `"linf"`.
        eps: radius of every image's own ball, in pixel values of [0, 1].
        steps: steps of the ascent.
        step_size: length of a step; 2.5 * eps / steps unless given.

    Raises:
        InputError: an argument out of its range.
    """
    require_amount("beta", beta)
    check_ball(norm, eps, steps, step_size)
    logits = classifier(images)
    loss = F.cross_entropy(logits, labels)
    if beta == 0 or eps == 0:
        return loss
    neighbours = _neighbours(classifier, images.detach(), norm, eps, steps, 2.5 * eps / steps if step_size is None else step_size)
    return loss + beta * _divergence(logits, classifier(neighbours)) / len(images)


def _neighbours(classifier: nn.Module, images: Tensor, norm: Norm, eps: float, steps: int, step: float) -> Tensor:
    start = images + project(START * torch.randn_like(images), norm, eps)
    # Never in half precision: next to the image the divergence is smaller than its rounding.
    with frozen(classifier), torch.autocast(images.device.type, enabled=False):
        logits = classifier(images)
        ascended = climb(
            lambda moved: _divergence(logits, classifier(moved)),
            images,
            start.clamp_(0, 1),
            norm=norm,
            eps=eps,
            steps=steps,
            step=step,
        )
    return ascended


def _divergence(logits: Tensor, moved: Tensor) -> Tensor:
    # In fp32 at least: the two distributions are nearly equal.
    there, here = F.log_softmax(at_least_fp32(moved), dim=1), F.log_softmax(at_least_fp32(logits), dim=1)
    return F.kl_div(there, here, reduction="sum", log_target=True)
