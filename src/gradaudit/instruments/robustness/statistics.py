"""Intervals for shares of images."""

from __future__ import annotations

from scipy.stats import beta

CONFIDENCE = 0.95


def clopper_pearson(successes: float, total: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The two-sided Clopper-Pearson interval for a probability.

    For a mean of shares in [0, 1], their sum stands in for the successes: no such shares vary more than successes with the same
    mean do, so that the interval is, if anything, too wide.

    Args:
        successes: from 0 to `total`.
        total: the number of images, 1 or more.
        confidence: in (0, 1).
    """
    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, successes, total - successes + 1)) if successes > 0 else 0.0
    high = float(beta.ppf(1 - tail, successes + 1, total - successes)) if successes < total else 1.0
    return low, high
