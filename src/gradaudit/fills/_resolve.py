"""What a user may call a fill, brought to one form."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from gradaudit.devices import resolve_device, seeded
from gradaudit.errors import require
from gradaudit.fills._fill import Fill, FillFunction
from gradaudit.identity import identity
from gradaudit.images import ImageSet
from gradaudit.registry import Registry, Spec, options_of, parse_spec

FILLS = Registry("gradaudit.fills", "fill")

FillLike: TypeAlias = str | Mapping[str, Any] | Spec | FillFunction | Fill


def resolve_fill(fill: FillLike, train: ImageSet, *, seed: int = 0, device: str | torch.device = "cpu") -> Fill:
    """The fill that is meant, ready to be called.

    Args:
        fill: a spec such as `"mean"`, `"blur(sigma=2)"` or `{"name": "generative", "denoiser": my_denoiser}`; a user's own
            function `(kept, mask) -> filled`, itself or as `"package.module:function"`; or a `Fill`, returned as it is. A user's
            own is called anew for every batch.
        train: the training images, whose statistics some fills use.
        seed: of the fills whose draws belong to an image.
        device: where it will be called; its tensors are put there.

    Raises:
        InputError: it is none of these; an unknown name or option, a bad value of an option, or one that is missing.
    """
    if isinstance(fill, Fill):
        return fill
    require(isinstance(train, ImageSet), "train", type(train).__name__, "an ImageSet")
    place = resolve_device(device)
    if callable(fill):
        return _own(fill)
    spec = parse_spec("fill", fill)
    if ":" in spec.name:
        return replace(_own(FILLS.bind("fill", spec)), name=str(spec))
    bound: Any = FILLS.bind("fill", spec, seed=seed, device=place)
    known = options_of(bound.func)
    missing = [name for name, default in known.items() if default is inspect.Parameter.empty and name not in bound.keywords]
    require(not missing, "fill", str(spec), f"given the options that have no default: {', '.join(missing)}")
    given = FILLS.bind("fill", spec).keywords  # type: ignore[attr-defined]
    changed = {key: _shown(value) for key, value in given.items() if key not in known or value != known[key]}
    made: Fill = bound(train)
    return replace(made, name=str(Spec(spec.name.replace("-", "_"), changed)))


@torch.no_grad()
def check_fill(fill: FillLike, train: ImageSet, seed: int, device: torch.device) -> Fill:
    """The fill that is meant, after trying it on two of the images with every other row removed.

    Raises:
        InputError: it is none, or does not return finite images of the shape that it was given.
    """
    with seeded(seed, device):
        found = resolve_fill(fill, train, seed=seed, device=device)
        images = train.floats([0, len(train) - 1], device)
        found(images, torch.arange(images.shape[2], device=device).view(1, 1, -1, 1).expand_as(images) % 2 == 0)
    return found


def _own(function: Callable[..., Tensor]) -> Fill:
    inner = function.func if isinstance(function, functools.partial) else function
    name = getattr(inner, "__qualname__", type(inner).__qualname__).rpartition("<locals>.")[2]
    return Fill(function, tuple(identity(function)), name=name)


def _shown(value: Any) -> Any:
    """An option as a name has it: a module or a function by the name of its class or its own."""
    if value is None or isinstance(value, (str, int, float, tuple, list)):
        return value
    return getattr(value, "__qualname__", type(value).__qualname__)
