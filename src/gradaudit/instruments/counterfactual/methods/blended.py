"""Blended diffusion with a classifier, the baseline."""

from __future__ import annotations

from typing import Literal

from torch import nn

from gradaudit.instruments.counterfactual.guidance import Process, guided_diffusion
from gradaudit.instruments.counterfactual.guidance.blended import LossPull
from gradaudit.instruments.counterfactual.guidance.perceptual import perceptual_network
from gradaudit.instruments.counterfactual.guidance.sampling import bound_sampler
from gradaudit.instruments.counterfactual.guidance.walk import denoiser_of
from gradaudit.instruments.counterfactual.methods._marks import heeds_found, needs_denoiser
from gradaudit.instruments.counterfactual.problem import Problem, Solution


@needs_denoiser
@heeds_found
def blended(
    problem: Problem,
    *,
    steps: int = 100,
    start: float = 0.75,
    class_strength: float = 25.0,
    l2_strength: float = 10000.0,
    range_strength: float = 50.0,
    lpips_strength: float = 0.0,
    network: str | nn.Module = "vgg",
    views: int = 1,
    variance: str = "auto",
    conditional: bool = False,
    checkpointing: bool | Literal["auto"] = "auto",
) -> Solution:
    """Blended diffusion: noised images denoised along the gradient of a weighted loss, with strengths fixed beforehand.

    The baseline that DVCE's rescaling is compared with. A robust helper is not used. The image that comes back is the last
    x0_hat, clamped.

    Source: Avrahami, Lischinski, Fried (2022), Blended Diffusion for Text-driven Editing of Natural Images, section 4, with
    log p(target) in the place of CLIP's similarity, as Augustin et al. (2022) compare with it. Theirs has LPIPS at 1000.

    Args:
        problem: with a denoiser.
        steps: noise levels over the whole schedule, from 2 to its length.
        start: the share of them to walk, above 0 to 1; 0.75 skips the 25 noisiest of 100.
        class_strength: of -log p(target).
        l2_strength: of the mean squared distance to the original, in pixel values from -1 to 1; like the two below it is for
            256 x 256 colour images, and falls with the number of coordinates for smaller ones, so that a pixel feels the same.
        range_strength: of the mean squared distance to [-1, 1].
        lpips_strength: of LPIPS to the original; the published 1000 needs the package `lpips`, so it is 0 unless given.
        network: LPIPS's: `"alex"`, `"vgg"` or `"squeeze"`, or a module; used where LPIPS has a strength.
        views: as `dvce` has it.
        variance: `"learned"`, `"fixed_small"`, `"fixed_large"`, or `"auto"`: learned where it was, else small.
        conditional: tell the denoiser the target class.
        checkpointing: as `dvce` has it.

    Raises:
        InputError: an option out of its range, no denoiser, one of other images, or targets that it doesn't know.
        MissingExtraError: LPIPS has a strength and its package is not installed.
    """
    process = Process(denoiser_of(problem, "blended"))
    judge = perceptual_network(network, problem.images.device) if lpips_strength else None
    pull = LossPull(problem, class_strength, l2_strength, range_strength, lpips_strength, judge, views)
    return guided_diffusion(
        problem,
        process=process,
        levels=process.levels(steps, start),
        pull=pull,
        sampler=bound_sampler("ddpm", variance),
        conditional=conditional,
        checkpointing=checkpointing,
    )
