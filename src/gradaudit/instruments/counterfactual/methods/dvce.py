"""Diffusion visual counterfactuals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from gradaudit.errors import require
from gradaudit.instruments.counterfactual.guidance import Process, guided_diffusion
from gradaudit.instruments.counterfactual.guidance.adaptive import AdaptivePull, Helper, Join
from gradaudit.instruments.counterfactual.guidance.cone import Inside
from gradaudit.instruments.counterfactual.guidance.samplers.ddpm import VARIANCES
from gradaudit.instruments.counterfactual.guidance.sampling import bound_sampler
from gradaudit.instruments.counterfactual.guidance.tangent import spaces_of
from gradaudit.instruments.counterfactual.guidance.walk import denoiser_of
from gradaudit.instruments.counterfactual.methods._marks import heeds_found, needs_denoiser
from gradaudit.instruments.counterfactual.problem import Problem, Solution
from gradaudit.options import Anything, Choice, Flag, Number, Options, Whole, WholeOr, option, takes
from gradaudit.options import Spec as SpecForm
from gradaudit.registry import Spec

VIEWS = 16


@dataclass(frozen=True, kw_only=True)
class DVCEOptions(Options):
    """The options of `dvce`; process and pull know the upper ends."""

    steps: int = option(
        200,
        Anything(),
        "noise levels over the whole schedule, from 2 to its length (1,000 for a denoiser that has none of its own); 25 do for "
        "`second_order`",
    )
    start: float = option(0.5, Number(above=0), "the share of them to walk, above 0 to 1")
    class_strength: float = option(
        0.3,
        Number(least=0),
        "of the pull towards the class; the paper has 0.1, for 256 x 256 photographs: on digits that leaves two in three in their "
        "class",
    )
    distance_strength: float = option(0.15, Number(least=0), "of the pull towards the original; the paper's")
    p: float = option(1.0, Number(least=1), "the distance is the L_p norm, from 1 to 2")
    cone: float = option(30.0, Number(least=0), "half its opening in degrees, from 0 (the explained gradient alone) to 90")
    inside: Inside = option(
        "robust",
        Choice(("robust", "classifier")),
        "what is followed where the two gradients are within the cone: the `robust` one, as the paper has it, or the explained "
        "`classifier`'s, as its reference code does",
    )
    helper: Helper = option(
        "robust",
        Choice(("robust", "denoiser", "none")),
        "whose gradient helps: the `robust` classifier's where there is one, as the paper has it; the `denoiser`'s own evidence "
        "for the class, s(x|t) - s(x) at the step's noise, if it knows the classes; or `none`",
    )
    join: Join = option(
        "cone",
        Choice(("cone", "consensus")),
        "with a helper, `cone`: its gradient, turned into the cone around the explained one; `consensus`: the explained one at "
        "those pixels where the two are within that angle, and nothing elsewhere",
    )
    views: int | Literal["auto"] = option(
        "auto",
        WholeOr(),
        "each gradient is that of the mean log probability over so many views of x0_hat: the image itself and random affine and "
        "perspective ones; `auto` is 16 with a robust classifier that helps, else 1",
    )
    guidance: Literal["exact", "combined", "none", "tangent"] = option(
        "exact",
        Choice(("exact", "combined", "none", "tangent")),
        "`exact`: gradients with respect to x_t, three products with the denoiser's Jacobian a step; `combined`: joined at x0_hat "
        "and taken to x_t by one product; `none`: applied at x0_hat, without a product; `tangent`: the same, each gradient "
        "projected on the data manifold's tangent space at x0_hat before it is rescaled",
    )
    tangents: str | Mapping[str, Any] | Spec | Callable[[Tensor], Tensor] = option(
        "denoiser",
        SpecForm(),
        "for `tangent`, where the spaces come from: `denoiser(sigma=0.25, dimensions=16)`, the leading directions of the "
        "Jacobian of the denoiser or of another that is named first; an autoencoder's `.safetensors` file, far cheaper; in "
        "Python also a function from images (n, C, H, W) to bases (n, T, F)",
    )
    inner_steps: int = option(
        1, Whole(1), "gradient steps on x0_hat before each of the sampler's, each of an equal share of the pull's length"
    )
    sampler: str | Mapping[str, Any] | Spec = option("ddpm", SpecForm(), "`ddpm`, `ddim` or `second_order`")
    variance: str = option(
        "auto", Choice(VARIANCES), "of `ddpm`: `learned`, `fixed_small`, `fixed_large`, or `auto`: learned where it was, else small"
    )
    conditional: bool = option(False, Flag(), "tell the denoiser the target class; the paper's is told none")
    checkpointing: bool | Literal["auto"] = option(
        "auto",
        Anything(),
        "compute the activations of diffusers' U-Nets again rather than keep them: less memory, the same numbers; `auto` for "
        "images of more than 128 x 128 pixels",
    )


@needs_denoiser
@heeds_found
@takes(DVCEOptions)
def dvce(problem: Problem, options: DVCEOptions) -> Solution:
    """Diffusion visual counterfactuals: from half-way into noise, denoised towards the target class and the original.

    Each step's gradients are rescaled, image by image, to the norm of the noise that the denoiser sees, so the strengths are
    shares of it, whatever the classifier. With a helper, its gradient leads, kept in a cone around the explained classifier's. The
    image that comes back is the last x0_hat, clamped.

    With `helper="denoiser"` the angle to it, in the diagnostics, is the alignment of the explained gradient with the Bayes score,
    measured along the way.

    Source: Augustin, Boreiko, Croce, Hein (2022), Diffusion Visual Counterfactual Explanations; the denoiser as helper, and
    consensus, after Farid, Schrodi, Argus and Brox (2023), Latent Diffusion Counterfactual Explanations; `none` and `tangent` after
    He et al. (2024), Manifold Preserving Guided Diffusion; inner steps after Ye et al. (2024), TFG.

    Args:
        problem: with a denoiser; with a robust helper or without.
        {options}

    Raises:
        InputError: an option out of its range, no denoiser, one of other images, targets that it doesn't know, or tangent spaces
            that can't be had.
    """
    process = Process(denoiser_of(problem, "dvce"))
    if options.helper == "denoiser":
        known, most = process.denoiser.classes, int(problem.targets.max()) if len(problem.targets) else 0
        require(known > most, "helper", "denoiser", f"robust or none: the denoiser knows {known or 'no'} classes")
    helped = problem.robust is not None and options.helper == "robust"
    count = (VIEWS if helped else 1) if options.views == "auto" else options.views
    return guided_diffusion(
        problem,
        process=process,
        levels=process.levels(options.steps, options.start),
        pull=AdaptivePull(
            problem,
            options.class_strength,
            options.distance_strength,
            options.p,
            options.cone,
            options.inside,
            count,
            options.guidance,
            options.helper,
            options.join,
            options.inner_steps,
            spaces_of(options.tangents, problem) if options.guidance == "tangent" else None,
        ),
        sampler=bound_sampler(options.sampler, options.variance),
        conditional=options.conditional,
        checkpointing=options.checkpointing,
    )
