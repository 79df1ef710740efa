"""The data manifold's tangent spaces along the walk, onto which pulls are projected."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from gradaudit.diffusion import Denoiser, tangent_spaces
from gradaudit.errors import require
from gradaudit.instruments.counterfactual.problem import Problem
from gradaudit.instruments.tangents import checked_bases, onto, read_tangents

EXPECTED = (
    'an autoencoder\'s `.safetensors` file, `denoiser("FILE OR zoo:NAME", sigma=0.25)`, or in Python a function from images '
    "(n, C, H, W) to bases (n, T, F), as `partial(ga.tangent_spaces, source=train)` is one"
)

Spaces = Callable[[Tensor], Tensor]
"""From images, floats (n, C, H, W), to orthonormal bases (n, T, F) of the tangent spaces there."""


def spaces_of(tangents: Any, problem: Problem) -> Spaces:
    """What gives the tangent spaces; tried on a grey image, so that what can't be had is refused before any walk.

    Args:
        tangents: as manifold robustness takes it; neighbours as a function alone, for a problem has no training images.
        problem: whose denoiser is meant where none is named.

    Raises:
        InputError: it is none of these, or gives no tangent spaces of such images.
    """
    found = checking(function_of(tangents, problem.denoiser, problem.images.device))
    found(problem.images.new_full((1, *problem.images.shape[1:]), 0.5))
    return found


def checking(function: Spaces) -> Spaces:
    """The function, whose bases are checked; an image that is not finite gets those of a grey one, for its walk has failed."""

    def spaces(images: Tensor) -> Tensor:
        if not len(images):
            return images.new_zeros(0, 1, math.prod(images.shape[1:]))
        sound = images.isfinite().flatten(1).all(dim=1)[:, None, None, None]
        known = torch.where(sound, images, 0.5)
        return checked_bases(function(known), known, whole=True)

    return spaces


def projection(bases: Tensor) -> Callable[[Tensor], Tensor]:
    """What projects gradients (n, C, H, W) on tangent spaces (n, T, F); with all directions in them, gradients bit for bit."""
    if bases.shape[1] == bases.shape[2]:
        return lambda gradients: gradients
    return lambda gradients: onto(bases.double(), gradients.double().flatten(1)).reshape(gradients.shape).to(gradients.dtype)


def function_of(tangents: Any, denoiser: Denoiser | None, device: torch.device) -> Spaces:
    """The user's function, or that of what the text names; unchecked.

    Raises:
        InputError: it names nothing, or a file that can't be read.
    """
    if callable(tangents):
        own: Spaces = tangents
        return own
    read = read_tangents("tangents", tangents)
    require(read.kind != "neighbours", "tangents", read.text, EXPECTED)
    start = {"one_start": True} if read.kind == "denoiser" else {}  # x0_hat is known up to rounding, which rests on the batch
    return partial(tangent_spaces, source=read.source(denoiser), device=device, **start | dict(read.options))
