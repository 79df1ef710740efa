"""The input gradient that every gradient attribution rests on, image by image."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradaudit.batching import check_logits, evaluating, frozen, placed
from gradaudit.errors import require

Quantity = Callable[[Tensor, Tensor], Tensor]


def _logit(logits: Tensor, targets: Tensor) -> Tensor:
    return logits.gather(1, targets[:, None])


def _loss(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits.double(), targets, reduction="none")


def _softmax(logits: Tensor, targets: Tensor) -> Tensor:
    return logits.double().softmax(1).gather(1, targets[:, None])


# In double because a sure classifier's 1 - p would round to 0 in single precision, and its whole gradient with it.
QUANTITIES: dict[str, Quantity] = {"logit": _logit, "loss": _loss, "softmax": _softmax}


def input_gradient(classifier: nn.Module, images: Tensor, targets: Tensor, of: str = "logit") -> Tensor:
    """The gradient of each image's own logit, loss or softmax towards that image: float32 (N, C, H, W).

    Args:
        classifier: images in [0, 1] to logits (N, K); in evaluation mode meanwhile, flags and `.grad` are untouched.
        images: floats (N, C, H, W) on any device.
        targets: int64 (N,), from 0 to K - 1.
        of: `"logit"` of the target, `"loss"` (cross-entropy with the target) or `"softmax"` probability of the target.

    Raises:
        InputError: `of`, a shape, a dtype or a target is not as above; the classifier blocks gradients.
    """
    require(of in QUANTITIES, "of", of, '"logit", "loss" or "softmax"')
    check_images(images)
    check_targets("targets", targets, len(images))
    with frozen(classifier):
        inputs = placed(classifier, images).requires_grad_()
        logits = check_logits(classifier(inputs), images)
        check_targets("targets", targets, len(images), classes=logits.shape[1])
        expected = "differentiable: its logits carry no gradient towards the images"
        require(logits.requires_grad, "classifier", type(classifier).__name__, expected)
        # Summed, not averaged: no image's gradient depends on how many there are beside it.
        quantity = QUANTITIES[of](logits, targets.to(logits.device, copy=True)).sum()
        (gradient,) = torch.autograd.grad(quantity, inputs)
    return gradient.to(images.device, torch.float32)


def quantity_of(classifier: nn.Module, images: Tensor, targets: Tensor, of: str = "logit") -> Tensor:
    """Each image's own logit, loss or softmax, float64 (N,); arguments and errors as for `input_gradient`."""
    require(of in QUANTITIES, "of", of, '"logit", "loss" or "softmax"')
    with evaluating(classifier), torch.no_grad():
        logits = check_logits(classifier(placed(classifier, images)), images)
        return QUANTITIES[of](logits, targets.to(logits.device)).double().flatten()


def check_images(images: Tensor) -> None:
    """Check that the images are floats (N, C, H, W).

    Raises:
        InputError: they are not.
    """
    require(images.ndim == 4 and images.is_floating_point(), "images", images, "floats (N, C, H, W)")


def check_targets(argument: str, targets: Tensor, total: int, classes: int | None = None) -> None:
    """Check that there is one target for each of `total` images, from 0 to `classes` - 1.

    Raises:
        InputError: another shape or dtype, or a target out of range; names `argument`.
    """
    require(targets.dtype == torch.int64, argument, targets, "int64")
    require(targets.shape == (total,), argument, targets, f"of shape ({total},), one for each image")
    if total:
        low, high = int(targets.min()), int(targets.max())
        expected = "0 or more" if classes is None else f"from 0 to {classes - 1}: the classifier has {classes} logits"
        require(low >= 0 and (classes is None or high < classes), argument, f"{low}..{high}", expected)
