"""95 % intervals of means and shares of independent values, and the bootstrap's draws."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 2000
CHUNK = 2**22  # numbers of a temporary

Interval = tuple[float, float, float]
"""A value and the ends of its interval."""


def mean_interval(values: np.ndarray, least: float = -np.inf, most: float = np.inf, *, confidence: float = CONFIDENCE) -> Interval:
    """The mean and the ends of its t interval, kept within what the mean can be; NaN ends for a single value.

    Args:
        values: floats (N,), independent, 1 or more.
        least: the least that the mean can be.
        most: the most.
        confidence: in (0, 1).
    """
    mean, count = float(values.mean()), len(values)
    if count < 2:
        return mean, float("nan"), float("nan")
    half = float(stats.t.ppf((1 + confidence) / 2, count - 1) * values.std(ddof=1) / np.sqrt(count))
    return mean, max(mean - half, least), min(mean + half, most)


def share_interval(hits: np.ndarray) -> Interval:
    """The share of hits and the ends of its Clopper-Pearson interval.

    Where a hit is itself a share, the sum stands in for the successes: no such shares vary more than successes with the same mean
    do, so that the interval is, if anything, too wide. Clopper and Pearson (1934), Biometrika 26.

    Args:
        hits: booleans, or floats in [0, 1], (N,), 1 or more.
    """
    successes, total, tail = float(hits.sum()), len(hits), (1 - CONFIDENCE) / 2
    low = float(stats.beta.ppf(tail, successes, total - successes + 1)) if successes > 0 else 0.0
    high = float(stats.beta.ppf(1 - tail, successes + 1, total - successes)) if successes < total else 1.0
    return float(hits.mean()), low, high


def paired_interval(first: np.ndarray, second: np.ndarray) -> Interval:
    """The share of hits of the first less that of the second, on the same images, and the ends of its interval.

    Half a pair is added to each of the four outcomes, so that it has a width where all pairs agree as well: Agresti and Min (2005),
    Simple improved confidence intervals for comparing matched proportions, Statistics in Medicine 24, section 3.

    Args:
        first: booleans (N,), 1 or more.
        second: likewise, of the same images.
    """
    total = len(first) + 2
    up, down = (float((one & ~other).sum() + 0.5) / total for one, other in ((first, second), (second, first)))
    half = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * float(np.sqrt((up + down - (up - down) ** 2) / total))
    value = float(first.mean() - second.mean())
    return value, max(up - down - half, -1.0), min(up - down + half, 1.0)


def resamples(count: int, seed: int) -> Iterator[np.ndarray]:
    """How often each of `count` values is drawn when as many are drawn with replacement, floats (count, B) in several parts.

    Quantities that share a draw stay paired. Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 8.
    """
    rng = np.random.default_rng(seed)
    at_once = max(1, min(RESAMPLES, CHUNK // count))
    for start in range(0, RESAMPLES, at_once):
        size = min(at_once, RESAMPLES - start)
        yield rng.multinomial(count, np.full(count, 1 / count), size=size).T.astype(float)
