"""Where alignment peaks along each family, and how it goes with relative off-manifold robustness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gradaudit.instruments.sweep.measured_classifier import MeasuredClassifier, family_of
from gradaudit.instruments.sweep.statistics import resampled_means, spearman
from gradaudit.intervals import CONFIDENCE, mean_interval

INTERMEDIATE, END, UNCERTAIN, FEW = "intermediate", "end", "uncertain", "too few strengths"
ALL = "all"


def find_peaks(measured: list[MeasuredClassifier], families: Sequence[str], place: int, seed: int) -> pd.DataFrame:
    """A row for each family: the `strength` of the largest alignment, that `alignment` with its interval, `peak`, `probability`.

    A peak is intermediate where it is at none of: no regularisation, the family's weakest and its strongest objective. Its
    `probability` is the share of resamples (images drawn again, the same for all classifiers) in which that holds.

    Args:
        measured: the classifiers, the unregularised one first.
        families: their names.
        place: of the reference sigma.
        seed: of the draws.
    """
    rows = []
    for family in families:
        members = family_of(measured, family)
        values = np.stack([one.alignment[place] for one in members])
        highest = int(values.mean(axis=1).argmax())
        best = values[highest]
        drawn = resampled_means(values, seed).argmax(axis=0)
        inner = (drawn > 1) & (drawn < len(members) - 1)
        probability = float(inner.mean()) if len(members) > 3 else float("nan")
        rows.append((family, members[highest].strength, *mean_interval(best), _peak(probability), probability))
    return pd.DataFrame(rows, columns=["family", "strength", "alignment", "low", "high", "peak", "probability"])


def correlate(
    measured: list[MeasuredClassifier], families: Sequence[str], ratios: Sequence[float], place: int, seed: int
) -> pd.DataFrame:
    """Spearman's correlation of relative off-manifold robustness and alignment: a row for all classifiers, one for each family.

    The columns are `family`, `classifiers` (their number), `correlation`, `low`, `high`: the interval is a bootstrap over
    classifiers. The unregularised classifier counts once among all, and in every family.

    Args:
        measured: the classifiers, the unregularised one first.
        families: their names.
        ratios: each classifier's relative off-manifold robustness; NaN, where nothing changes, leaves it out.
        place: of the reference sigma.
        seed: of the draws.
    """
    x, y = np.array(ratios), np.array([one.alignment[place].mean() for one in measured])
    names = np.array([one.family for one in measured])
    first = np.arange(len(measured)) == 0
    groups = {ALL: np.ones(len(measured), bool)} | {family: first | (names == family) for family in families}
    rows = []
    for family, members in groups.items():
        chosen = members & ~np.isnan(x)
        rows.append((family, int(chosen.sum()), *spearman(x[chosen], y[chosen], seed)))
    return pd.DataFrame(rows, columns=["family", "classifiers", "correlation", "low", "high"])


def _peak(probability: float) -> str:
    if np.isnan(probability):
        return FEW
    return INTERMEDIATE if probability >= CONFIDENCE else END if probability <= 1 - CONFIDENCE else UNCERTAIN
