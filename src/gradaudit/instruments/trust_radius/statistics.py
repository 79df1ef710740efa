"""Errors with Monte Carlo's own noise taken off, and where a curve over the sigmas falls below a bar."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gradaudit.intervals import Interval, mean_interval

HALF = 0.5
"""The share of the margin's change that a gradient must explain to be trusted."""
AGREE = 0.1
"""The error of a probability, beyond which an estimate no longer agrees with Monte Carlo."""


def squared_error(estimate: np.ndarray, kept: np.ndarray, copies: int) -> np.ndarray:
    """An unbiased estimate of (estimate - p)^2, where a share `kept` of so many copies is all that is known of p.

    The mean over pairs of different copies of (estimate - first)(estimate - second). It may be negative; for an estimate that is
    exactly p it is 0 in expectation.

    Args:
        estimate: floats, independent of the copies.
        kept: likewise, the share of them that kept the class.
        copies: how many there were, 2 or more.
    """
    found: np.ndarray = np.square(estimate - kept) - kept * (1 - kept) / (copies - 1)
    return found


def root_mean_square(squares: np.ndarray) -> Interval:
    """The root of the mean over images of such estimates, 0 where that is negative, with the roots of its 95 % t interval."""
    mean, low, high = mean_interval(squares)
    return _root(mean), _root(low), _root(high)


def _root(square: float) -> float:
    return square if math.isnan(square) else math.sqrt(max(square, 0.0))


def crossing(sigmas: Sequence[float], curve: np.ndarray, bar: float) -> float:
    """The sigma at which a curve first falls below a bar, interpolated in the logarithm of sigma.

    0 where it lies below at the smallest sigma, the largest sigma where it never does, NaN where it has NaN.

    Args:
        sigmas: ascending, above 0.
        curve: floats, one for each.
        bar: what counts.
    """
    if np.isnan(curve).any():
        return float("nan")
    below = np.flatnonzero(curve < bar)
    if not len(below):
        return float(sigmas[-1])
    place = int(below[0])
    if place == 0:
        return 0.0
    share = (curve[place - 1] - bar) / (curve[place - 1] - curve[place])
    return float(sigmas[place - 1] * (sigmas[place] / sigmas[place - 1]) ** share)
