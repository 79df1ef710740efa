"""Input-gradient regularisation."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradaudit.errors import require
from gradaudit.training.objectives._checks import require_amount
from gradaudit.training.objectives._precision import at_least_fp32
from gradaudit.training.objectives._second_order import SecondOrder

Of = Literal["loss", "logit"]
Norm = Literal["l1", "l2"]


def gradient_penalty(
    classifier: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    strength: float = 1.0,
    of: Of = "loss",
    norm: Norm = "l2",
    power: Literal[1, 2] = 2,
) -> Tensor:
    """Mean cross-entropy, plus strength times the mean over images of a power of a norm of the input gradient.

    With power 2 and norm l2, Drucker and LeCun (1992); Ross and Doshi-Velez (2018). With power 1 the strength is a radius in pixel
    values: the penalised loss is, to first order, the worst within it, under Linf for norm l1 (Rodriguez-Munoz, Wang and Torralba,
    2024, arXiv 2409.20139) and under L2 for norm l2, as the one norm is dual to the other. Every image has its own gradient, so
    the batch size changes nothing; where batch norm couples the images of a batch, the gradient of their summed losses is taken.
    It needs a smooth activation (SiLU, GELU, softplus): the gradient of a ReLU network is constant but for jumps that no training
    sees.

    Args:
        classifier: images in [0, 1] to logits (N, K).
        images: floats (N, C, H, W) in [0, 1].
        labels: int64 (N,).
        strength: weight of the penalty, 0 or more.
        of: the gradient of the image's `"loss"` or of its label's `"logit"`.
        norm: `"l2"`, or `"l1"`, the sum of magnitudes.
        power: 2, or 1 for the norm itself; a gradient of zeros then has a penalty, and a derivative of it, of zero.

    Raises:
        InputError: an argument out of its range.
    """
    require_amount("strength", strength)
    require(of in ("loss", "logit"), "of", of, '"loss" or "logit"')
    require(norm in ("l1", "l2"), "norm", norm, '"l1" or "l2"')
    require(power in (1, 2) and not isinstance(power, bool), "power", power, "1 or 2")
    if strength == 0:
        return F.cross_entropy(classifier(images), labels)
    with torch.enable_grad():
        inputs = images.detach().requires_grad_()
        with SecondOrder(inputs) as layers:
            logits = classifier(inputs)
        losses = F.cross_entropy(logits, labels, reduction="none")
        values = losses if of == "loss" else logits.gather(1, labels[:, None])
        # The gradient of a sum of terms, one an image, holds every image's own gradient.
        gradient = layers.input_gradient(values.sum())
        return losses.mean() + strength * _powers(at_least_fp32(gradient), norm, power).sum() / len(images)


def _powers(gradients: Tensor, norm: Norm, power: int) -> Tensor:
    """Of each image's gradient the power of its norm; where that is zero, so is its derivative."""
    flat = gradients.flatten(1)
    if norm == "l1":
        return flat.abs().sum(dim=1) ** power
    squares = flat.square().sum(dim=1)
    if power == 2:
        return squares
    zero = squares == 0
    return squares.where(~zero, 1.0).sqrt().where(~zero, 0.0)
