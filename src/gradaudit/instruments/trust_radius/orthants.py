"""The probability that a multivariate normal lies below a point in every coordinate: the same for the same seed."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

POINTS = 1024  # of the quasi-random sequence
CERTAIN = 6.0  # deviations: what lies beyond is left out, which changes the probability by at most 1e-9 for each coordinate
DEGENERATE = 1e-6  # a conditional deviation so small is none: the coordinate follows from those before it
CHUNK = 2**20  # numbers of a temporary


def orthant_probabilities(bounds: np.ndarray, correlations: np.ndarray, seed: int) -> np.ndarray:
    """P[Y <= bounds in every coordinate] for Y ~ N(0, correlations), for each row: floats (R,) in [0, 1].

    Exact for one coordinate, else Genz's transformation (1992, J. Comput. Graph. Stat. 1, section 2) with the smallest bound first,
    over a scrambled Sobol sequence that all rows share; within about 3e-4. Correlations may be singular, nothing is added to them.

    Args:
        bounds: floats (R, D), in standard deviations; infinite ones are taken as they are.
        correlations: floats (R, D, D), positive semidefinite, with ones on the diagonal.
        seed: of the sequence's scrambling.
    """
    found: np.ndarray = np.where((bounds <= -CERTAIN).any(axis=1), 0.0, 1.0)
    counts = ((bounds > -CERTAIN) & (bounds < CERTAIN)).sum(axis=1) * (found > 0)
    order = np.argsort(bounds, axis=1, kind="stable")
    for count in np.unique(counts[counts > 0]):
        rows = np.flatnonzero(counts == count)
        first = order[rows, :count]
        chosen = bounds[rows[:, None], first]
        if count == 1:
            found[rows] = ndtr(chosen[:, 0])
            continue
        among = correlations[rows[:, None, None], first[:, :, None], first[:, None, :]]
        at_once = max(1, CHUNK // (POINTS * int(count)))
        for part in (slice(start, start + at_once) for start in range(0, len(rows), at_once)):
            found[rows[part]] = _transformed(chosen[part], _roots(among[part]), _sequence(int(count) - 1, seed))
    return found.clip(0.0, 1.0)


@cache
def _sequence(dimensions: int, seed: int) -> np.ndarray:
    """Points of the unit cube, (POINTS, dimensions), off its faces."""
    drawn = qmc.Sobol(dimensions, scramble=True, seed=np.random.default_rng(seed)).random(POINTS)
    inside: np.ndarray = np.clip(drawn, 1e-12, 1 - 1e-12)
    return inside


def _roots(correlations: np.ndarray) -> np.ndarray:
    """The lower triangular Cholesky factors (R, D, D); a coordinate that follows from those before it has 0 on the diagonal."""
    roots = np.zeros_like(correlations)
    for place in range(correlations.shape[1]):
        before = roots[:, place, :place]
        left = correlations[:, place, place] - (before**2).sum(axis=1)
        pivot = np.sqrt(np.where(left > DEGENERATE**2, left, 0.0))
        roots[:, place, place] = pivot
        rest = correlations[:, place + 1 :, place] - np.einsum("rdk,rk->rd", roots[:, place + 1 :, :place], before)
        roots[:, place + 1 :, place] = np.where(pivot > 0, 1.0, 0.0)[:, None] * rest / np.where(pivot > 0, pivot, 1.0)[:, None]
    return roots


def _transformed(bounds: np.ndarray, roots: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The mean over the points of Genz's integrand, one coordinate after the other."""
    rows, dimensions = bounds.shape
    drawn = np.zeros((dimensions, rows, len(points)))  # the independent normals so far, each below its bound
    product = np.ones((rows, len(points)))
    for place in range(dimensions):
        shift = np.einsum("rk,krp->rp", roots[:, place, :place], drawn[:place])
        below = _below(bounds[:, place, None] - shift, roots[:, place, place, None])
        product *= below
        if place < dimensions - 1:
            drawn[place] = ndtri(np.clip(points[:, place] * below, 1e-300, 1 - 1e-16))
    return np.asarray(product.mean(axis=1))


def _below(room: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """P[deviation * N(0, 1) <= room]; where there is no deviation, whether there is room."""
    certain = (room >= -DEGENERATE).astype(float)
    return np.where(deviation > 0, ndtr(room / np.where(deviation > 0, deviation, 1.0)), certain)
