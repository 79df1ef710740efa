"""Intervals over images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 2000
CHUNK = 2**22  # numbers of a temporary


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % t-interval of the mean of changes (N,), within their range of 0 to 2; all of it for a single image."""
    if len(values) < 2:
        return 0.0, 2.0
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    mean = float(values.mean())
    return max(0.0, mean - half), min(2.0, mean + half)


def ratio_intervals(on: np.ndarray, off: np.ndarray, seed: int = 0) -> list[tuple[float, float, float]]:
    """For each radius, the ratio of mean changes, on over off, with its 95 % bootstrap interval; last, their geometric mean.

    Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13: percentiles of the ratios in resampled images, each
    with all of its changes. Infinite where nothing changes off the manifold, NaN where nothing changes at all; the interval of a
    single image is NaN.

    Args:
        on: changes (R, N) on the manifold.
        off: likewise off it.
        seed: of the resampling.
    """
    value = _log_ratios(on.mean(axis=1)[:, None], off.mean(axis=1)[:, None])[:, 0]
    drawn = np.concatenate([_log_ratios(on @ counts, off @ counts) for counts in _resamples(on.shape[1], seed)], axis=1)
    tail = (1 - CONFIDENCE) / 2
    ends = np.quantile(drawn, [tail, 1 - tail], axis=1, method="inverted_cdf")  # which never takes the mean of infinities
    if on.shape[1] < 2:
        ends[:] = np.nan
    return [(float(np.exp(a)), float(np.exp(b)), float(np.exp(c))) for a, b, c in zip(value, *ends, strict=True)]


def _log_ratios(on: np.ndarray, off: np.ndarray) -> np.ndarray:
    """Logarithms of ratios (R, B), and their mean over radii as a last row."""
    with np.errstate(divide="ignore", invalid="ignore"):  # of zeros, to what the docstring above promises
        logs = np.log(on) - np.log(off)
        return np.vstack([logs, logs.mean(axis=0)])


def _resamples(count: int, seed: int) -> Iterator[np.ndarray]:
    """How often each image is drawn, (N, B) in several parts."""
    rng = np.random.default_rng(seed)
    at_once = max(1, min(RESAMPLES, CHUNK // count))
    for start in range(0, RESAMPLES, at_once):
        size = min(at_once, RESAMPLES - start)
        yield rng.multinomial(count, np.full(count, 1 / count), size=size).T.astype(float)
