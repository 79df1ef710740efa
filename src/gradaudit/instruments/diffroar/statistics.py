"""Intervals over independent seeds and test images."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, stats

from gradaudit.instruments.diffroar.measures import ACCURACIES, ALWAYS, BITS, COLUMNS, MEASURES, Measure
from gradaudit.intervals import CONFIDENCE

POWER = 0.8


@dataclass(frozen=True)
class Interval:
    """Mean over seeds of a paired difference, with its intervals.

    Args:
        mean: mean over seeds.
        low: lower end of the 95 % interval; NaN for a single seed, or where the difference was not measured.
        high: its upper end.
        low_all: lower end of the interval that holds at all levels at once (Bonferroni).
        high_all: its upper end.
        detectable: smallest difference that a test corrected for the levels would have found with a probability of 80 %.
    """

    mean: float
    low: float
    high: float
    low_all: float
    high_all: float
    detectable: float


def image_variance(differences: np.ndarray) -> float:
    """The part of the variance of the mean difference that comes from the choice of test images.

    Seeds and test images are crossed: each seed's learners see the same images. The variance of the mean is the sum of a part for
    seeds and a part for images less the residual, which both contain (two-way random effects without replication; Searle, Casella
    and McCulloch, Variance Components, 1992, chapter 4). This is images less residual, at least 0.

    Args:
        differences: (S, N), for seed s and image i: correct (1 or 0) with the top features less correct with the bottom ones, or
            such a difference in bits.
    """
    seeds, images = differences.shape
    of_images = differences.mean(axis=0)
    residual = differences - of_images - differences.mean(axis=1, keepdims=True) + differences.mean()
    freedom = max((seeds - 1) * (images - 1), 1)
    part = of_images.var(ddof=1) / images - float((residual**2).sum()) / freedom / (seeds * images)
    return max(float(part), 0.0)


def image_variances(
    images: Mapping[tuple[str, float], Mapping[str, np.ndarray]], measures: Sequence[Measure]
) -> dict[str, dict[str, list[float]]]:
    """The `image_variance` of each measure whose parts are there, under its prefix and the ranking's name, level by level.

    Args:
        images: for each ranking's name and level, by column, what was measured of each seed and image, (S, N).
        measures: of what.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for (name, _), values in images.items():
        for measure in measures:
            if values.keys() >= measure.weights.keys():
                levels = found.setdefault(f"{measure.prefix}image_variance", {}).setdefault(name, [])
                levels.append(image_variance(measure.of(values)))
    return found


def interval(values: Sequence[float], comparisons: int, resolution: float, image_part: float = 0.0, images: int = 2) -> Interval:
    """The interval of the mean over seeds and test images, also corrected for the number of comparisons.

    Args:
        values: one for each seed.
        comparisons: number of levels over which the corrected interval holds.
        resolution: the step in which an accuracy moves (one test image), or as many bits; no standard deviation over seeds below it
            is believed.
        image_part: variance of the mean that comes from the choice of test images, from `image_variance`.
        images: number of test images.
    """
    array = np.asarray(values, dtype=float)
    mean, count = float(array.mean()), len(array)
    if count < 2 or np.isnan(mean):
        nan = float("nan")
        return Interval(mean, nan, nan, nan, nan, nan)
    seed_part = max(float(array.var(ddof=1)), resolution**2) / count
    variance = seed_part + image_part
    error = float(np.sqrt(variance))
    # Satterthwaite's degrees of freedom for a sum of two estimated variances.
    freedom = variance**2 / (seed_part**2 / (count - 1) + image_part**2 / (images - 1))
    one, every = (float(stats.t.ppf(1 - (1 - CONFIDENCE) / 2 / number, freedom)) for number in (1, comparisons))
    lows_and_highs = (mean - one * error, mean + one * error, mean - every * error, mean + every * error)
    return Interval(mean, *lows_and_highs, _shift_found(every, freedom) * error)


@functools.cache
def _shift_found(critical: float, freedom: float) -> float:
    """The shift, in standard errors, that a t test with this critical value finds with a probability of `POWER`."""
    # The mean of the shifted normal's tail over the distribution of the estimated error. For few seeds `critical` plus a quantile
    # of t is up to a fifth too small, and scipy's noncentral t fails far out.
    errors = np.sqrt(stats.chi2.ppf((np.arange(2000) + 0.5) / 2000, freedom) / freedom)
    return float(optimize.brentq(lambda shift: stats.norm.sf(critical * errors - shift).mean() - POWER, 0, 2 * critical + 10))


def summarise(table: pd.DataFrame, test_count: int, details: Mapping[str, Any]) -> pd.DataFrame:
    """One row for each attribution and level: means over seeds, and each measure with its intervals.

    Args:
        table: DiffROAR's table; columns that an older one lacks count as not measured.
        test_count: number of test images.
        details: holds, under each measure's prefix and `image_variance`, the `image_variance` of each attribution, level by level.
    """
    table = table.reindex(columns=list(COLUMNS))
    comparisons = table["level"].nunique()
    measures = [measure for measure in MEASURES if measure in ALWAYS or table[measure.column].notna().any()]
    parts = {measure: _parts(details, measure) for measure in measures}
    rows = []
    for (name, level), cells in table.groupby(["attribution", "level"], sort=False):
        row = {"attribution": name, "level": level, "seeds": len(cells)}
        row |= {column: cells[column].mean() for column in (*ACCURACIES, *BITS)}
        for measure in measures:
            values = list(cells[measure.column])
            found = interval(values, comparisons, 1 / test_count, next(parts[measure][str(name)], 0.0), test_count)
            row |= {f"{measure.prefix}{part.name}": getattr(found, part.name) for part in fields(Interval)}
        rows.append(row)
    return pd.DataFrame(rows)


def _parts(details: Mapping[str, Any], measure: Measure) -> defaultdict[str, Iterator[float]]:
    found = details.get(f"{measure.prefix}image_variance", {})
    return defaultdict(lambda: iter(()), {name: iter(values) for name, values in found.items()})
