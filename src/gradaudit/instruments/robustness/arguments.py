"""The arguments of `robustness`: brought to one form, and refused before any work where they are wrong."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise
from numbers import Real
from typing import Any

import torch
from torch import nn

from gradaudit.batching import batch_size_for
from gradaudit.errors import require
from gradaudit.images import ImageSet
from gradaudit.training.perturbations import check_ball


def check_images(images: Any) -> None:
    """Raise `InputError` unless they are an image set."""
    require(isinstance(images, ImageSet), "images", type(images).__name__, "an ImageSet; load_images makes one")


def check_radii(eps: Any) -> tuple[float, ...]:
    """The radii, ascending.

    Raises:
        InputError: not one or several different finite numbers, 0 or more, in ascending order.
    """
    expected = "one or several different finite radii, each 0 or more, in ascending order, such as (0, 0.1, 0.3)"
    listed = isinstance(eps, Iterable) and not isinstance(eps, (str, Mapping))
    found = tuple(eps) if listed else (eps,)
    numbers = all(isinstance(one, Real) and not isinstance(one, bool) for one in found)
    require(len(found) > 0 and numbers, "eps", eps, expected)
    radii = tuple(float(one) for one in found)
    require(all(math.isfinite(one) and one >= 0 for one in radii), "eps", eps, expected)
    require(all(low < high for low, high in pairwise(radii)), "eps", eps, expected)
    return radii


def check_settings(norm: Any, steps: Any, step_size: Any, counts: Mapping[str, Any], seed: Any) -> None:
    """Raise `InputError` unless the settings that attacks share are in range; `counts` holds those that are at least 1."""
    check_ball(norm, 0.0, steps, step_size)
    for argument, value in counts.items():
        require(_is_whole(value) and value >= 1, argument, value, "a whole number, 1 or more")
    require(_is_whole(seed) and 0 <= seed < 2**31, "seed", seed, "a whole number, 0 or more")


def resolve_batch_size(batch_size: Any, classifier: nn.Module, images: ImageSet, device: torch.device) -> int:
    """The number of images at once: the one given, or for `"auto"` as many as fit in memory.

    Raises:
        InputError: neither `"auto"` nor a whole number, 1 or more.
    """
    if isinstance(batch_size, str) and batch_size == "auto":
        return batch_size_for(classifier, images.floats([0]), device=device)
    require(_is_whole(batch_size) and batch_size >= 1, "batch_size", batch_size, '"auto", or a whole number, 1 or more')
    return int(batch_size)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
