"""Whether scores add up to what their method promises: of a complete one, to what the classifier says beyond the baseline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from gradaudit.attributions._resolve import Attribution
from gradaudit.registry import options_of

Function = TypeVar("Function", bound=Callable[..., object])

FEW = 8  # images that are tried
TOLERANCE = 0.1  # of the mean magnitude of what is promised; on published networks 50 steps miss up to .08 on eight images
ROUNDING = 1e-5  # of the magnitudes that are added up


class Promise(NamedTuple):
    """What an attribution's scores of some images add up to.

    Args:
        total: for each image, (N,).
        what: that is, in words.
        advice: what to do where they don't.
    """

    total: Tensor
    what: str
    advice: str


def complete(promise: Callable[..., Promise | None]) -> Callable[[Function], Function]:
    """Mark an attribution as one whose scores add up to something.

    Args:
        promise: a function of classifier, images, targets and the attribution's options; None where these promise nothing.
    """

    def mark(function: Function) -> Function:
        function.__dict__["promise"] = promise
        return function

    return mark


def promise_of(found: Attribution) -> Callable[[nn.Module, Tensor, Tensor], Promise | None] | None:
    """What says what an attribution's scores add up to; None for one that is not marked as complete."""
    inner = getattr(found.function, "func", found.function)
    promise: Callable[..., Promise | None] | None = getattr(inner, "promise", None)
    if inner is None or promise is None:
        return None
    options: dict[str, Any] = options_of(inner) | getattr(found.function, "keywords", {})
    return lambda classifier, images, targets: promise(classifier, images, targets, **options)


def missed(scores: Tensor, total: Tensor) -> float:
    """By how much scores (N, C, H, W) miss their totals (N,), as a share of the totals' mean magnitude; 0 if by rounding.

    Where the totals are 0 and the scores don't add up to that, it is infinite.
    """
    each = scores.double().flatten(1)
    gap = float((each.sum(1) - total.to(each)).abs().mean())
    if gap <= ROUNDING * float(each.abs().sum(1).mean()):
        return 0.0
    return gap / float(total.double().abs().mean()) if bool(total.any()) else float("inf")


def doubt(name: str, promises: Sequence[Promise | None], scores: Sequence[Tensor]) -> str | None:
    """What must be known of maps that miss what was promised; None where they miss little, or nothing was promised.

    Args:
        name: of the attribution.
        promises: of each batch of images.
        scores: of these, each (n, C, H, W).
    """
    known = [one for one in promises if one is not None]
    if not known:
        return None
    share = missed(torch.cat([*scores]), torch.cat([one.total for one in known]))
    if share <= TOLERANCE:
        return None
    told = f"scores of {name} do not add up to {known[0].what}, as the method promises"
    return f"{told}: on {sum(map(len, scores))} images they miss it by {share:.0%} on average; {known[0].advice}"
