"""Whether the target survives noise and its removal, as a change along the data does and an adversarial one does not."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.diffusion import Denoiser
from gradaudit.diffusion.samplers.heun import heun
from gradaudit.diffusion.sampling import noise_levels
from gradaudit.errors import require, require_whole
from gradaudit.instruments.counterfactual.lacking import LackingError
from gradaudit.instruments.counterfactual.measures._evidence import Evidence, in_batches, probabilities
from gradaudit.noise import normal

SIGMA_MIN = 0.01  # below the rounding of 8 bits nothing is left to remove


def stability(evidence: Evidence, *, sigma: float = 0.5, steps: int = 3, draws: int = 4) -> dict[str, Tensor]:
    """`stable` and, for each oracle, `stable_<oracle>`: the share of noisy and denoised counterfactuals predicted as the target.

    The noise is removed along the probability flow by Heun's method, as in sampling.

    Args:
        evidence: counterfactuals, with a denoiser.
        sigma: the noise's standard deviation, in pixel values of [0, 1], above 0.01.
        steps: noise levels on the way back, 2 or more.
        draws: of noise for each image, which belong to the image and not to its batch.

    Raises:
        LackingError: there is no denoiser.
        InputError: an option out of its range.
    """
    number = isinstance(sigma, (int, float)) and SIGMA_MIN < sigma < math.inf
    require(number, "sigma", sigma, f"a finite number above {SIGMA_MIN}")
    require_whole("steps", steps, 2)
    require_whole("draws", draws, 1)
    if evidence.denoiser is None:
        raise LackingError("no denoiser was given")
    classifiers = {"stable": evidence.classifier} | {f"stable_{name}": oracle for name, oracle in evidence.oracles.items()}
    # Jumped far ahead: the method drew its own noise from the start of the same stream.
    sources = [np.random.Generator(np.random.Philox(key=key).jumped()) for key in evidence.keys]
    kept = {name: torch.zeros(len(evidence.after), dtype=torch.float64, device=evidence.after.device) for name in classifiers}
    for _ in range(draws):
        noisy = evidence.after + sigma * normal(sources, evidence.after)
        cleaned = in_batches(evidence.denoiser, noisy, partial(_cleaned, evidence.denoiser, sigma, steps))
        for name, classifier in classifiers.items():
            kept[name] += _sees(classifier, cleaned, evidence.targets) / draws
    return kept


def _cleaned(denoiser: Denoiser, sigma: float, steps: int, noisy: Tensor) -> Tensor:
    return heun(denoiser, noisy, noise_levels(steps, SIGMA_MIN, sigma), lambda: torch.zeros_like(noisy)).clamp(0, 1)


def _sees(classifier: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    return (probabilities(classifier, images).argmax(dim=1) == targets).double()
