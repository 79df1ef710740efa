"""Do the instruments agree? One table across classifiers, and the rank correlations of its rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import permutations

import numpy as np
import pandas as pd
from scipy import stats

from gradaudit.instruments.contract import audited, instrument
from gradaudit.results import Result

COLUMNS = ("classifier", "instrument", "measure", "value", "low", "high", "better")


def scores(results: Mapping[str, Mapping[str, Result]]) -> pd.DataFrame:
    """One row for each classifier and measure: its value with its interval, and whether `better` is larger (1) or smaller (-1).

    Args:
        results: for each classifier's name, by instrument.
    """
    rows = [
        (name, kind, words, score.value, score.low, score.high, score.better)
        for name, found in results.items()
        for kind, result in found.items()
        if kind in audited()
        for words, score in instrument(kind).scores(result).items()
        if not math.isnan(score.value)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def rank_correlations(table: pd.DataFrame) -> pd.DataFrame:
    """Spearman's correlation over classifiers of each pair of measures, both turned so that more is more trustworthy.

    Columns `one`, `other`, `classifiers` (how many have both), `correlation` (NaN below three classifiers or where one measure is
    the same for all), `p` (two-sided, by all permutations up to eight classifiers, beyond that by Student's t: with few classifiers
    nothing can be significant, and it says so).

    Args:
        table: as `scores` gives it.
    """
    turned = table.assign(value=table["value"] * table["better"])
    names = [*dict.fromkeys(table["measure"])]
    wide = turned.pivot_table(index="classifier", columns="measure", values="value").reindex(columns=names)
    pairs = [(one, other) for place, one in enumerate(names) for other in names[place + 1 :]]
    rows = []
    for one, other in pairs:
        both = wide[[one, other]].dropna()
        found = _spearman(both[one].to_numpy(), both[other].to_numpy())
        rows.append((one, other, len(both), *found))
    return pd.DataFrame(rows, columns=["one", "other", "classifiers", "correlation", "p"])


def _spearman(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan"), float("nan")
    found = float(stats.spearmanr(first, second).statistic)
    if len(first) > 8:
        return found, float(stats.spearmanr(first, second).pvalue)
    one, other = (ranks - ranks.mean() for ranks in (stats.rankdata(first), stats.rankdata(second)))
    every = np.array([*permutations(other)]) @ one  # all at once: of eight classifiers there are 40,320
    return found, float(np.mean(np.abs(every) >= abs(float(one @ other)) - 1e-9))
