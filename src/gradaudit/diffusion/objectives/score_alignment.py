"""Training towards the gradients of a Bayes-optimal classifier."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradaudit.classifiers import classifier_fingerprint, log_odds
from gradaudit.diffusion.denoiser import Denoiser
from gradaudit.diffusion.load import DenoiserLike, load_denoiser
from gradaudit.diffusion.objectives._points import Draw, Points, fresh_points, kept_points
from gradaudit.errors import InputError, require, require_whole
from gradaudit.training.objectives._checks import require_amount
from gradaudit.training.objectives._precision import at_least_fp32
from gradaudit.training.objectives._second_order import SecondOrder


def score_alignment(
    classifier: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    denoiser: DenoiserLike,
    sigma: float = 0.25,
    strength: float = 1.0,
    classes: int = 1,
    draws: int = 0,
) -> Tensor:
    """Mean cross-entropy, plus strength times the mean of 1 - cosine(grad log p(y|x + sigma n), its Bayes score).

    Ganz, Kawar and Elad (2023), Do Perceptually Aligned Gradients Imply Robustness?, arXiv 2207.11378, with their score-based
    gradients. A class-conditional denoiser knows the Bayes score grad log p(x|y) - grad log p(x) of images with noise; by Bayes'
    rule it is the gradient of the optimal classifier of noisy images, whose second term is zero. The classifier's gradient is taken
    of log odds, which point where log probabilities do and do not vanish where these saturate. No adversarial example is seen. It
    needs a smooth activation, as a gradient penalty does; where batch norm couples the images of a batch, the gradient is that of
    their sum.

    Args:
        classifier: images in [0, 1] to logits (N, K).
        images: floats (N, C, H, W) in [0, 1].
        labels: int64 (N,).
        denoiser: of such images and classes: what `load_denoiser` takes, as `"zoo:mnist"` or a file; in a recipe as text.
        sigma: deviation of the noise, above 0, in pixel values of [0, 1]; pixels are not clamped.
        strength: weight of the alignment, 0 or more; 0 is `standard`.
        classes: classes y at each image: its label, and so many less one of the others, drawn at random. The paper takes all.
        draws: in a training, how often each image's noise is drawn and its scores computed, once and for all, before the first
            step; 0 for anew at every step, which asks the denoiser `classes` + 1 times each time. Not for augmented images.

    Raises:
        InputError: an argument out of its range; a denoiser without classes, or of other images or classes than the classifier's.
    """
    require_amount("strength", strength)
    _check_numbers(sigma, classes, draws)
    if strength == 0:
        return F.cross_entropy(classifier(images), labels)
    found = _read(denoiser)
    _check_denoiser(found, tuple(images.shape[1:]), None, classes)
    return _loss(classifier, images, labels, fresh_points(found, images, labels, sigma, classes), sigma, strength)


class _Alignment:
    """The denoiser behind the objective; see `Helper`."""

    def mark(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The denoiser's fingerprint."""
        return {"denoiser": classifier_fingerprint(_read(options["denoiser"]))}

    def check(self, options: Mapping[str, Any], input_shape: tuple[int, int, int], classes: int, augment: str) -> None:
        """Raise `InputError` unless options and denoiser fit each other and such images."""
        require_amount("strength", options["strength"])
        _check_numbers(options["sigma"], options["classes"], options["draws"])
        _check_denoiser(_read(options["denoiser"]), input_shape, classes, options["classes"])
        fits = augment == "none" or options["draws"] == 0
        require(fits, "draws", options["draws"], "0 where images are augmented: scores are kept of unchanged images")

    def prepared(self, options: Mapping[str, Any], draw: Draw, count: int, device: torch.device) -> Callable[..., Tensor]:
        """The objective with the denoiser at hand, and the points if they are kept."""
        sigma, classes, draws = options["sigma"], options["classes"], options["draws"]
        denoiser = _read(options["denoiser"]).to(device)
        kept = (
            kept_points(denoiser, draw, count, sigma=sigma, classes=classes, draws=draws, device=device)
            if draws and options["strength"]
            else []
        )

        def objective(
            classifier: nn.Module, images: Tensor, labels: Tensor, indices: Tensor, strength: float = options["strength"]
        ) -> Tensor:
            if strength == 0:
                return F.cross_entropy(classifier(images), labels)
            if kept:
                points = kept[int(torch.randint(draws, ())) if draws > 1 else 0].at(indices.to(device))
            else:
                points = fresh_points(denoiser, images, labels, sigma, classes)
            return _loss(classifier, images, labels, points, sigma, strength)

        return objective


score_alignment.helper = _Alignment()  # type: ignore[attr-defined]


def _loss(classifier: nn.Module, images: Tensor, labels: Tensor, points: Points, sigma: float, strength: float) -> Tensor:
    loss = F.cross_entropy(classifier(images), labels)
    with torch.enable_grad():
        inputs = (images + sigma * points.noise.to(images.dtype)).detach().requires_grad_()
        with SecondOrder(inputs) as layers:
            logits = at_least_fp32(classifier(inputs))
        # The gradient of a sum of terms, one an image, holds every image's own gradient.
        gradients = [layers.input_gradient(log_odds(logits, targets).sum()) for targets in points.targets.T]
        unlike = [
            _unlike(at_least_fp32(gradient), directions.to(logits.dtype))
            for gradient, directions in zip(gradients, points.directions.unbind(1), strict=True)
        ]
        return loss + strength * torch.stack(unlike).mean()


def _unlike(gradients: Tensor, directions: Tensor) -> Tensor:
    """1 - cosine of each pair (N,); 0, and so its derivative, where either is zero."""
    one, other = (_at_most_one(maps.flatten(1)) for maps in (gradients, directions))
    squares = one.square().sum(dim=1) * other.square().sum(dim=1)
    zero = squares == 0
    cosines = (one * other).sum(dim=1) / squares.where(~zero, 1.0).sqrt()
    return (1 - cosines).where(~zero, 0.0)


def _at_most_one(flat: Tensor) -> Tensor:
    """Each divided by its largest magnitude, a constant, which changes no cosine and keeps squares from vanishing."""
    largest = flat.detach().abs().amax(dim=1, keepdim=True)
    return flat / largest.where(largest > 0, 1.0)


def _read(denoiser: Any) -> Denoiser:
    if isinstance(denoiser, Denoiser):
        return denoiser.eval()
    try:
        return load_denoiser(denoiser)
    except InputError as error:
        raise InputError("denoiser", denoiser, f"a Denoiser, or what load_denoiser takes ({error})") from error


def _check_numbers(sigma: Any, classes: Any, draws: Any) -> None:
    number = isinstance(sigma, Real) and not isinstance(sigma, bool)
    require(number and 0 < sigma < math.inf, "sigma", sigma, "a finite number above 0, in pixel values of [0, 1]")
    for argument, value, least in (("classes", classes, 1), ("draws", draws, 0)):
        require_whole(argument, value, least)


def _check_denoiser(denoiser: Denoiser, input_shape: tuple[int, ...], known: int | None, classes: int) -> None:
    """Raise `InputError` unless it is of such images and, where that is known, of as many classes as the classifier."""
    require(denoiser.classes > 0, "denoiser", "unconditional", "one that knows classes: a Bayes score is that of a class")
    fits = denoiser.shape is None or tuple(denoiser.shape) == tuple(input_shape)
    require(
        fits, "denoiser", f"of images of shape {denoiser.shape}", f"of images of shape {tuple(input_shape)}, as those trained on"
    )
    alike = known is None or denoiser.classes == known
    require(alike, "denoiser", f"of {denoiser.classes} classes", f"of {known} classes, as the images are")
    require(classes <= denoiser.classes, "classes", classes, f"at most {denoiser.classes}, the denoiser's classes")
