"""The regime of every classifier, with its uncertainty.

Srinivas et al. (2023), section 5: a *weakly robust* classifier is robust neither on the data manifold nor off it, a *Bayes-aligned*
one off the manifold but not on it, an *excessively robust* one both ways. Here a classifier is robust in a direction when noise of
the reference length changes its softmax less than half as much (L1, the mean over images) as the unregularised classifier's. The
fourth case, robust on the manifold but not off it, is none of the paper's and is called *inverted*.

Images are drawn again with replacement, the same ones for all classifiers; a regime counts when it is called in 95 % of the draws.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from gradaudit.instruments.sweep.measured_classifier import MeasuredClassifier
from gradaudit.instruments.sweep.statistics import resampled_means
from gradaudit.intervals import CONFIDENCE

WEAK, ALIGNED, EXCESSIVE, INVERTED = REGIMES = ("weak", "bayes-aligned", "excessive", "inverted")
UNCERTAIN = "uncertain"
SHARE = 0.5  # of the unregularised classifier's change


def find_regimes(measured: list[MeasuredClassifier], place: int, share: float, seed: int) -> pd.DataFrame:
    """A row for each classifier: `family`, `strength`, `regime`, the probability of each, and its changes.

    The changes, `on` and `off` the manifold, are shares of the unregularised classifier's.

    Args:
        measured: the classifiers, the unregularised one first.
        place: of the reference radius among the radii.
        share: of the unregularised classifier's change, below which a classifier is robust in that direction.
        seed: of the draws.
    """
    changes = np.stack([one.changes[:, place] for one in measured])
    with np.errstate(divide="ignore", invalid="ignore"):  # an unregularised classifier that never changes
        relative = changes.mean(axis=2) / changes[0].mean(axis=1)
    drawn = resampled_means(changes.reshape(-1, changes.shape[2]), seed).reshape(*changes.shape[:2], -1)
    on, off = (drawn < share * drawn[0]).swapaxes(0, 1)
    called = {WEAK: ~on & ~off, ALIGNED: off & ~on, EXCESSIVE: on & off, INVERTED: on & ~off}
    shares = np.stack([called[name].mean(axis=1) for name in REGIMES], axis=1)
    rows = [
        (one.family, one.strength, _regime(own), *own, *ratios) for one, own, ratios in zip(measured, shares, relative, strict=True)
    ]
    return pd.DataFrame(rows, columns=["family", "strength", "regime", *REGIMES, "on", "off"])


def _regime(shares: np.ndarray) -> str:
    return REGIMES[int(shares.argmax())] if shares.max() >= CONFIDENCE else UNCERTAIN
