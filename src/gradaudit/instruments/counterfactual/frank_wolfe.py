"""The linear step of Frank-Wolfe over an L_p ball that a box cuts."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from gradaudit.errors import require


def linear_step(gradient: Tensor, radius: float, *, p: float, low: Tensor, high: Tensor) -> Tensor:
    """The change (N, ...) that maximises its product with the gradient, with an L_p norm of at most `radius`, from low to high.

    Each entry follows the gradient's sign; what is left is how far. For p > 1 the optimality conditions give each entry the
    smaller of its bound and a common multiple of |gradient|^(1 / (p - 1)); sorting the multiples at which entries reach their
    bounds finds the one that exhausts the radius. For p = 1 the largest gradients are served first. It is exact, computed in
    float64 and in logarithms, since for p near 1 the powers leave every floating-point range. Where the gradient is zero, so is
    the change.

    Source: Boreiko et al. (2022), Sparse Visual Counterfactual Explanations in Image Space.

    Args:
        gradient: finite floats (N, ...), one problem a row.
        radius: 0 or more.
        p: 1 or more, finite.
        low: of the gradient's shape, 0 or less.
        high: of the gradient's shape, 0 or more.

    Raises:
        InputError: a radius or p out of its range, bounds of another shape or that exclude no change at all.
    """
    require(_is_number(radius) and radius >= 0, "radius", radius, "a finite number, 0 or more")
    check_p(p)
    require(low.shape == gradient.shape and bool((low <= 0).all()), "low", low, f"of shape {tuple(gradient.shape)}, at most 0")
    require(high.shape == gradient.shape and bool((high >= 0).all()), "high", high, f"of shape {tuple(gradient.shape)}, at least 0")
    slopes = gradient.flatten(1).double()
    bounds = torch.where(slopes > 0, high.flatten(1).double(), -low.flatten(1).double()).where(slopes != 0, 0.0)
    lengths = _greedy(slopes.abs(), bounds, radius) if p == 1 else _by_breakpoints(slopes.abs(), bounds, radius, p)
    return (lengths * slopes.sign()).reshape(gradient.shape).to(gradient.dtype)


def check_p(p: float) -> None:
    """Raise `InputError` unless p is that of a norm with a linear step."""
    require(_is_number(p) and p >= 1, "p", p, "a finite number, 1 or more")


def _greedy(slopes: Tensor, bounds: Tensor, radius: float) -> Tensor:
    order = slopes.argsort(dim=1, descending=True, stable=True)
    wanted = bounds.gather(1, order)
    spent = wanted.cumsum(dim=1) - wanted
    served = torch.minimum((radius - spent).clamp_min(0), wanted)
    return torch.zeros_like(bounds).scatter(1, order, served)


def _by_breakpoints(slopes: Tensor, bounds: Tensor, radius: float, p: float) -> Tensor:
    """min(bound, m a) with a = slope^(1 / (p - 1)) and the multiple m at which the p-th powers sum to the radius's."""
    if radius == 0:
        return torch.zeros_like(bounds)
    shares = bounds / radius  # in units of the radius, whose p-th power is then 1
    logs = slopes.log() / (p - 1)
    breakpoints = (shares.log() - logs).where(slopes > 0, math.inf)
    order = breakpoints.argsort(dim=1, stable=True)
    sorted_breakpoints, sorted_logs = breakpoints.gather(1, order), logs.gather(1, order)
    # At its breakpoint an entry and those before it are at their bounds, and those after it are at the multiple.
    full = shares.gather(1, order).pow(p).cumsum(dim=1)
    # Each sum of a^p counts its own entry as well, so that those after an entry are the next sum.
    rest = (p * sorted_logs).flip(1).logcumsumexp(dim=1).flip(1)
    after = torch.cat([rest[:, 1:], torch.full_like(rest[:, :1], -math.inf)], dim=1)
    sums = full + (p * sorted_breakpoints + after).exp().nan_to_num(nan=0.0)
    at_bounds = ((sums <= 1) & (sorted_breakpoints < math.inf)).sum(dim=1, keepdim=True)
    none = torch.full_like(sorted_breakpoints[:, :1], -math.inf)
    reached = torch.cat([none, sorted_breakpoints], dim=1).gather(1, at_bounds)
    return torch.minimum(bounds, _free(full, rest, logs, at_bounds, reached, p) * radius)


def _free(full: Tensor, rest: Tensor, logs: Tensor, at_bounds: Tensor, reached: Tensor, p: float) -> Tensor:
    """How far entries would go without bounds, in units of the radius; infinitely far where all reach their bounds.

    The multiple is at least the largest breakpoint of those at their bounds, also where these use up the radius to the last digit.
    """
    all_reach = at_bounds == (logs > -math.inf).sum(dim=1, keepdim=True)
    used = torch.cat([torch.zeros_like(full[:, :1]), full], dim=1).gather(1, at_bounds)
    left = rest.gather(1, at_bounds.clamp_max(rest.shape[1] - 1))
    multiple = torch.maximum(((1 - used).clamp_min(0).log() - left) / p, reached)
    return (multiple + logs).exp().where(~all_reach, math.inf)


def _is_number(value: Any) -> bool:
    number = isinstance(value, Real)
    return number and not isinstance(value, bool) and math.isfinite(value)
