"""Intervals for means over images."""

from __future__ import annotations

from math import sqrt

import numpy as np
from scipy.stats import t

CONFIDENCE = 0.95
VANISHING = 1e-6  # of the largest of all images


def t_interval(values: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Student's two-sided interval for the mean of independent values.

    Args:
        values: floats (N,), two or more.
        confidence: in (0, 1).
    """
    count = len(values)
    half = float(t.ppf((1 + confidence) / 2, count - 1)) * float(values.std(ddof=1)) / sqrt(count)
    return float(values.mean()) - half, float(values.mean()) + half


def directions(magnitudes: np.ndarray) -> dict[str, float]:
    """The shares of maps that are zero everywhere, and that are not but vanish beside the largest.

    Args:
        magnitudes: the largest magnitude of each map, floats (N,).
    """
    vanishing = (magnitudes > 0) & (magnitudes < VANISHING * magnitudes.max())
    return {"zero": float((magnitudes == 0).mean()), "vanishing": float(vanishing.mean())}
