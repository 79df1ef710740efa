"""Randomized smoothing: a radius within which the smoothed classifier provably keeps its class."""

from __future__ import annotations

from typing import Any

import torch
from scipy.stats import beta, norm
from torch import Tensor, nn

from gradaudit.errors import require, require_whole
from gradaudit.instruments.robustness.attacks._counting import class_counts, sources
from gradaudit.instruments.robustness.attacks._marks import measure

ABSTAIN = -1


@measure(norm="l2", numbers="radius")
def smoothing(
    classifier: nn.Module,
    images: Tensor,
    *,
    sigma: float = 0.25,
    n0: int = 100,
    n: int = 10_000,
    alpha: float = 0.001,
    seed: int = 0,
    batch_size: int = 256,
) -> dict[str, Tensor]:
    """For each image, the class (N,) of the smoothed classifier, -1 where it abstains, and the certified L2 radius (N,) around it.

    The smoothed classifier gives the class that the classifier gives most often under Gaussian noise, not clamped to [0, 1]. Each
    radius is wrong with a probability of at most `alpha`. Cohen, Rosenfeld and Kolter (2019), section 3.2.2, procedure CERTIFY.

    Args:
        classifier: images to logits (N, K); best trained with the same noise.
        images: floats (N, C, H, W) in [0, 1].
        sigma: standard deviation of the noise of each coordinate, in units of pixel values of [0, 1].
        n0: noisy images that choose the class.
        n: noisy images that bound its probability; no radius exceeds sigma * Phi^-1(alpha ** (1 / n)).
        alpha: probability of a wrong certificate, for each image.
        seed: of the noise, which belongs to the image and not to its batch.
        batch_size: images that go through the classifier at once; changes memory and time alone.

    Raises:
        InputError: an argument out of its range.
    """
    _check(sigma, n0, n, alpha)
    found = [
        _certify(classifier, image, source, sigma, n0, n, alpha, batch_size)
        for image, source in zip(images, sources(images, seed), strict=True)
    ]
    predicted = torch.tensor([label for label, _ in found], dtype=torch.int64)
    return {"predicted": predicted, "radius": torch.tensor([radius for _, radius in found], dtype=torch.float64)}


def certified_radius(successes: int, n: int, sigma: float, alpha: float) -> float:
    """sigma * Phi^-1(p), p the lower Clopper-Pearson bound on the class's probability; 0 where p is at most 1/2 (abstention)."""
    lower = float(beta.ppf(alpha, successes, n - successes + 1)) if successes else 0.0
    return sigma * float(norm.ppf(lower)) if lower > 0.5 else 0.0


def _certify(
    classifier: nn.Module,
    image: Tensor,
    source: torch.Generator,
    sigma: float,
    n0: int,
    n: int,
    alpha: float,
    batch_size: int,
) -> tuple[int, float]:
    # The class is chosen on other draws than those that bound its probability, or the bound would not hold.
    label = int(class_counts(classifier, image, sigma, n0, source, batch_size).argmax())
    successes = int(class_counts(classifier, image, sigma, n, source, batch_size)[label])
    radius = certified_radius(successes, n, sigma, alpha)
    return (label, radius) if radius > 0 else (ABSTAIN, 0.0)


def _check(sigma: Any, n0: Any, n: Any, alpha: Any) -> None:
    positive = isinstance(sigma, (int, float)) and 0 < sigma < float("inf")
    require(positive, "sigma", sigma, "a finite standard deviation above 0")
    for argument, value in (("n0", n0), ("n", n)):
        require_whole(argument, value, 1)
    require(isinstance(alpha, float) and 0 < alpha < 0.5, "alpha", alpha, "a probability above 0 and below 0.5")
