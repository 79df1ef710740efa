"""Adversarial perturbations: projected gradient descent with a ball for every image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, prod, sqrt
from numbers import Real
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradaudit.batching import frozen
from gradaudit.errors import InputError, require, require_whole
from gradaudit.noise import generators, normal, uniform

Norm = Literal["l2", "linf"]
Sources = list[np.random.Generator] | None
"""A generator for each image; None for torch's random state."""


def pgd(
    classifier: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    norm: Norm,
    eps: float,
    steps: int = 10,
    step_size: float | None = None,
    random_start: bool = True,
    restarts: int = 1,
    seed: int | None = None,
) -> Tensor:
    """Images within `eps` of the given ones, and within [0, 1], that raise the cross-entropy of the label.

    Every image has its own ball and its own normalised gradient, so the batch an image comes in changes nothing. The classifier
    is run in evaluation mode and left as it was. Madry et al. (2018), section 2.1.

    Args:
        classifier: images in [0, 1] to logits (N, K).
        images: floats (N, C, H, W) in [0, 1].
        labels: int64 (N,).
        norm: `"l2"` or `"linf"`.
        eps: radius of the ball, in units of pixel values of [0, 1]; 0 gives the images back.
        steps: gradient steps, at least 1.
        step_size: length of a step; 2.5 * eps / steps unless given.
        random_start: begin at a point drawn uniformly from the ball.
        restarts: number of attacks, at least 1. Of an image's attacks the first that misleads the classifier is kept, and ends the
            search for that image; where none does, the one of highest loss.
        seed: random starts come from it and the image's own pixels, whatever the batch; None draws from torch's random state.

    Raises:
        InputError: an argument of the wrong shape or dtype, or out of its range.
    """
    check_ball(norm, eps, steps, step_size)
    check_restarts(restarts, random_start)
    _check_batch(images, labels)
    images = images.detach()
    if eps == 0 or not len(images):  # some classifiers can't be asked about no image
        return images.clone()
    step = 2.5 * eps / steps if step_size is None else step_size
    sources = None if seed is None else generators(images, seed)

    def attack(centres: Tensor, targets: Tensor, own: Sources) -> Tensor:
        start = (centres + uniform_in_ball(centres, norm, eps, own)).clamp_(0, 1) if random_start else centres.clone()

        def loss(moved: Tensor) -> Tensor:
            return F.cross_entropy(classifier(moved), targets, reduction="sum")

        return climb(loss, centres, start, norm=norm, eps=eps, steps=steps, step=step)

    with frozen(classifier):
        moved = attack(images, labels, sources)
        return moved if restarts == 1 else _worst(classifier, attack, moved, images, labels, sources, restarts - 1)


def climb(
    loss: Callable[[Tensor], Tensor], images: Tensor, start: Tensor, *, norm: Norm, eps: float, steps: int, step: float
) -> Tensor:
    """Where projected gradient ascent on a loss arrives, image by image, within `eps` of the images and within [0, 1].

    Args:
        loss: from images (N, C, H, W) to the sum of their losses; no image's loss depends on another image.
        images: the centres of the balls, floats (N, C, H, W) in [0, 1].
        start: where to begin, of the same shape; overwritten.
        norm: `"l2"` or `"linf"`.
        eps: radius of the balls.
        steps: number of steps.
        step: length of a step.
    """
    moved = start
    for _ in range(steps):
        (gradient,) = torch.autograd.grad(loss(moved.requires_grad_()), moved)
        moved = moved.detach().add_(ascent_direction(gradient, norm), alpha=step)
        moved = project(moved.sub_(images), norm, eps).add_(images).clamp_(0, 1)
    return moved


def _worst(
    classifier: nn.Module,
    attack: Callable[[Tensor, Tensor, Sources], Tensor],
    moved: Tensor,
    images: Tensor,
    labels: Tensor,
    sources: Sources,
    restarts: int,
) -> Tensor:
    losses, misled = _judged(classifier, moved, labels)
    for _ in range(restarts):
        left = (~misled).nonzero().flatten()
        if not len(left):
            break
        own = None if sources is None else [sources[index] for index in left.tolist()]
        again = attack(images[left], labels[left], own)
        new_losses, new_misled = _judged(classifier, again, labels[left])
        worse = new_misled | (new_losses > losses[left])
        at = left[worse]
        moved[at], losses[at], misled[at] = again[worse], new_losses[worse], new_misled[worse]
    return moved


def _judged(classifier: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    logits = classifier(images)
    return F.cross_entropy(logits, labels, reduction="none"), logits.argmax(dim=1) != labels


def check_ball(norm: Any, eps: Any, steps: Any, step_size: Any) -> None:
    """Raise `InputError` unless the arguments of an attack are in range."""
    require(norm in ("l2", "linf"), "norm", norm, '"l2" or "linf"')
    number, length = isinstance(eps, Real), isinstance(step_size, Real)
    require(number and 0 <= eps < inf, "eps", eps, "a finite radius, 0 or more")
    check_reach(norm, eps)
    require_whole("steps", steps, 1)
    positive = step_size is None or (length and 0 < step_size < inf)
    require(positive, "step_size", step_size, "a finite length above 0, or None")


def check_reach(norm: Norm, eps: float, shape: Sequence[int] | None = None) -> None:
    """Raise `InputError` if no two images with pixels in [0, 1] are as far apart as `eps`; in l2 that takes their shape to say."""
    most = 1.0 if norm == "linf" else inf if shape is None else sqrt(prod(shape))
    expected = f"at most {most:.4g}, the largest {norm} distance of two images: eps is in pixel values of [0, 1]"
    require(eps <= most, "eps", eps, f"{expected}. Was {eps:g}/255 (={eps / 255:.4g}) meant?")


def check_restarts(restarts: Any, random_start: Any) -> None:
    """Raise `InputError` unless the arguments of a repeated attack are in range."""
    require_whole("restarts", restarts, 1)
    require(restarts == 1 or bool(random_start), "restarts", restarts, "1 without a random start, for all would be the same")


def _check_batch(images: Tensor, labels: Tensor) -> None:
    require(images.is_floating_point() and images.ndim == 4, "images", images, "floats (N, C, H, W)")
    low, high = images.detach().aminmax() if len(images) else (torch.zeros(()), torch.zeros(()))
    if not bool((low >= 0) & (high <= 1)):  # true for NaN
        raise InputError("images", f"{float(low):g}..{float(high):g}", "within [0, 1], without NaN")
    require(labels.dtype == torch.int64, "labels", labels, "int64")
    require(labels.shape == (len(images),), "labels", labels, f"of shape ({len(images)},), one for each image")


def ascent_direction(gradient: Tensor, norm: Norm) -> Tensor:
    """The steepest ascent direction of unit length in the norm, image by image; zero where the gradient is zero."""
    if norm == "linf":
        return gradient.sign()
    # Scaling by the largest entry first keeps tiny gradients from vanishing in the square.
    gradient = gradient / gradient.abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(torch.finfo(gradient.dtype).tiny)
    return gradient / _length(gradient).clamp_min(1e-12)


def project(delta: Tensor, norm: Norm, eps: float) -> Tensor:
    """The nearest point of the ball of radius `eps` around zero, image by image: for each delta (C, H, W) of (N, C, H, W)."""
    if norm == "linf":
        return delta.clamp(-eps, eps)
    return delta * (eps / _length(delta).clamp_min(1e-12)).clamp_max(1)


def uniform_in_ball(images: Tensor, norm: Norm, eps: float, sources: Sources = None) -> Tensor:
    """A point drawn uniformly from the ball of radius `eps` around zero, for each of the images (N, C, H, W).

    It comes from the image's own generator where `sources` are given, else from torch's random state.
    """
    if norm == "linf":
        if sources is None:
            return torch.empty_like(images).uniform_(-eps, eps)
        return uniform(sources, images).to(images.dtype).mul_(2 * eps).sub_(eps)
    gaussian = torch.randn_like(images) if sources is None else normal(sources, images).to(images.dtype)
    each = images[:, :1, :1, :1]
    radius = torch.rand_like(each) if sources is None else uniform(sources, each).to(images.dtype)
    return ascent_direction(gaussian, "l2") * eps * radius ** (1 / prod(images.shape[1:]))


def _length(delta: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(delta, dim=(1, 2, 3), keepdim=True)
    return length
