"""What a denoiser knows, where features were removed."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor

from gradaudit.classifiers import classifier_fingerprint
from gradaudit.diffusion import Denoiser, load_denoiser
from gradaudit.diffusion.load import DenoiserLike
from gradaudit.diffusion.sampling import noise_levels, within
from gradaudit.errors import require, require_whole
from gradaudit.fills._fill import Fill
from gradaudit.images import ImageSet
from gradaudit.noise import generators, normal

SIGMA_MIN, SIGMA_MAX = 0.02, 1.0  # in pixel values of [0, 1]: 5 grey levels, and noise that drowns any image
AT_ONCE = {"cpu": 256, "cuda": 1024}  # images


def generative(
    train: ImageSet, *, denoiser: DenoiserLike, steps: int = 8, jumps: int = 2, seed: int = 0, device: torch.device | str = "cpu"
) -> Fill:
    """Removed values drawn from a denoiser's distribution given the kept ones, and of no class, which would tell the label.

    Reverse diffusion in which the kept values take their place in every estimate of the clean image; each step but the last is
    undone by fresh noise and done again `jumps` times, so that the removed values come to agree with the kept ones. As steps and
    jumps grow the draws are those of the conditional distribution; the defaults, 22 calls of the denoiser an image, are short of
    that where the kept values leave little freedom.

    Source: Lugmayr et al. (2022), RePaint: Inpainting using Denoising Diffusion Probabilistic Models, algorithm 1, with jumps of
    length 1; the kept values replace the estimate as in Wang, Yu and Zhang (2023), Zero-Shot Image Restoration Using Denoising
    Diffusion Null-Space Model, equation 13; noise levels of Karras et al. (2022), equation 5.

    Args:
        train: whose mean the first, noisiest image is about.
        denoiser: a `Denoiser`, or what `load_denoiser` takes, such as `"zoo:mnist"`.
        steps: noise levels, at least 2.
        jumps: how many times each step is done again, 0 or more.
        seed: of the draws, which depend on the seed, the kept values and their places alone.
        device: where it will be called; the denoiser is moved there.

    Raises:
        InputError: a denoiser that can't be loaded or is of other images, steps or jumps out of range.
    """
    for argument, value, least in (("steps", steps, 2), ("jumps", jumps, 0)):
        require_whole(argument, value, least)
    found = load_denoiser(denoiser, device=device)
    require(found.shape in (None, train.shape), "denoiser", found.shape, f"of images like the training ones, {train.shape}")
    levels = train.mean()
    sigmas = tuple(noise_levels(steps, *within(found, SIGMA_MIN, SIGMA_MAX)))
    function = partial(_draw, denoiser=found, sigmas=sigmas, jumps=jumps, levels=levels.to(device), seed=seed)
    return Fill(function, (classifier_fingerprint(found), sigmas, jumps, levels, seed), costly=True)


@torch.no_grad()
def _draw(
    kept: Tensor, mask: Tensor, *, denoiser: Denoiser, sigmas: tuple[float, ...], jumps: int, levels: Tensor, seed: int
) -> Tensor:
    filled = kept.clone()
    for part in torch.split(torch.arange(len(kept)), AT_ONCE["cuda" if kept.is_cuda else "cpu"]):
        which = slice(int(part[0]), int(part[-1]) + 1)
        filled[which] = conditional(kept[which].float(), mask[which], denoiser, sigmas, jumps, levels, seed)
    return filled


def conditional(
    kept: Tensor, mask: Tensor, denoiser: Denoiser, sigmas: tuple[float, ...], jumps: int, levels: Tensor, seed: int
) -> Tensor:
    """Images (n, C, H, W), not clamped, drawn given their kept values, down the noise levels, the last of which is 0."""
    sources = generators(kept.masked_fill(~mask, -1.0), seed)  # else images with few, black kept values would share their noise
    x = kept.where(mask, levels.to(kept).view(-1, 1, 1)) + sigmas[0] * normal(sources, kept)
    for sigma, following in pairwise(sigmas):
        for again in range(jumps if following > 0 else 0, -1, -1):
            clean = torch.where(mask, kept, denoiser(x, sigma))
            # Ho, Jain and Abbeel (2020), equation 7, for noise that adds up: x at the next level given x now and the clean image.
            share = (following / sigma) ** 2
            x = clean + share * (x - clean)
            if following > 0:
                x += following * sqrt(1 - share) * normal(sources, kept)
            if again:
                x += sqrt(sigma**2 - following**2) * normal(sources, kept)
    return x
