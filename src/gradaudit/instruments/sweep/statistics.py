"""Intervals over test images, which all classifiers share, and over classifiers."""

from __future__ import annotations

import numpy as np
from scipy import stats

from gradaudit.intervals import CONFIDENCE, RESAMPLES, Interval, resamples


def resampled_means(values: np.ndarray, seed: int) -> np.ndarray:
    """The means (V, B) over images drawn again with replacement, the same images for all rows.

    Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 8: rows that share their images stay paired.

    Args:
        values: a row for each quantity, floats (V, N) over N images.
        seed: of the draws.
    """
    count = values.shape[1]
    return np.concatenate([values @ drawn / count for drawn in resamples(count, seed)], axis=1)


def spearman(x: np.ndarray, y: np.ndarray, seed: int) -> Interval:
    """Spearman's rank correlation with its 95 % percentile bootstrap interval over the pairs.

    Resamples in which either has a single value say nothing of a correlation and are left out. NaN with fewer than three pairs, or
    where either has a single value.

    Args:
        x: floats (C,), infinities allowed.
        y: likewise.
        seed: of the draws.
    """
    if len(x) < 3:
        return float("nan"), float("nan"), float("nan")
    drawn = np.random.default_rng(seed).integers(len(x), size=(RESAMPLES, len(x)))
    value = float(_rank_correlations(x[None], y[None])[0])
    found = _rank_correlations(x[drawn], y[drawn])
    if np.isnan(value) or np.isnan(found).all():
        return value, float("nan"), float("nan")
    low, high = np.nanquantile(found, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return value, float(low), float(high)


def _rank_correlations(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each row (B,), NaN where a row has a single value."""
    centred = [ranks - ranks.mean(axis=1, keepdims=True) for ranks in (stats.rankdata(one, axis=1) for one in (x, y))]
    sizes = np.sqrt((centred[0] ** 2).sum(axis=1) * (centred[1] ** 2).sum(axis=1))
    found: np.ndarray = np.divide((centred[0] * centred[1]).sum(axis=1), sizes, out=np.full(len(sizes), np.nan), where=sizes > 0)
    return found
