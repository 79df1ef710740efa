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


def gradient_penalty(classifier: nn.Module, images: Tensor, labels: Tensor, *, strength: float = 1.0, of: Of = "loss") -> Tensor:
    """Mean cross-entropy, plus strength times the mean over images of the squared norm of the input gradient.

    Drucker and LeCun (1992); Ross and Doshi-Velez (2018). Every image has its own gradient, so the batch size
    changes nothing; where batch norm couples the images of a batch, the gradient of their summed losses is taken. It needs a
    smooth activation (SiLU, GELU, softplus): the gradient of a ReLU network is constant but for jumps that no training sees.

    Args:
        classifier: images in [0, 1] to logits (N, K).
        images: floats (N, C, H, W) in [0, 1].
        labels: int64 (N,).
        strength: weight of the penalty, 0 or more.
        of: the gradient of the image's `"loss"` or of its label's `"logit"`.

    Raises:
        InputError: an argument out of its range.
    """
    require_amount("strength", strength)
    require(of in ("loss", "logit"), "of", of, '"loss" or "logit"')
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
        return losses.mean() + strength * at_least_fp32(gradient).square().sum() / len(images)
