"""A sweep's result: its table, the regimes, the trends, two figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from gradaudit.errors import require
from gradaudit.instruments.manifold_robustness.statistics import change_interval, ratio_intervals
from gradaudit.instruments.sweep.drawing import PLAIN, draw_map, draw_panels
from gradaudit.instruments.sweep.measured_classifier import MeasuredClassifier, read
from gradaudit.instruments.sweep.regimes import SHARE, find_regimes
from gradaudit.instruments.sweep.trends import correlate, find_peaks
from gradaudit.intervals import Interval, mean_interval, share_interval
from gradaudit.lettering import legible
from gradaudit.results import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("family", "strength", "measure", "parameter", "value", "low", "high")
RATIO = "off_manifold_robustness"


@dataclass(frozen=True, eq=False)
class SweepResult(Result):
    """What `sweep` returns.

    `table` has a row for each classifier (`family` and `strength`; `none` and 0 for the unregularised one) and `measure`, with its
    `parameter`, `value`, and `low` and `high`, a 95 % interval over test images:

    - `accuracy` (no parameter) and `pgd` (at eps): shares of images, Clopper-Pearson;
    - `confidence`: the mean of the largest probability;
    - `alignment` and `alignment_control` (at sigma), the control with gradients taken at other images;
    - `change_on` and `change_off` (at a radius): the mean L1 change of the softmax under noise on the data manifold and off it;
    - `off_manifold_robustness` (at a radius; without parameter the geometric mean over all): the one over the other, bootstrap.

    `details` keeps every image's values, so that `regimes`, `peaks` and `correlation` come back from a saved result.
    """

    kind: ClassVar[str] = "sweep"

    @cached_property
    def classifiers(self) -> list[MeasuredClassifier]:
        """What was measured of each classifier at each image; the unregularised one comes first."""
        return read(self.details)

    @cached_property
    def regimes(self) -> pd.DataFrame:
        """The regime of each classifier, as `regimes_at` gives it at the reference radius."""
        return self.regimes_at()

    @property
    def brief(self) -> pd.DataFrame:
        """`regimes`."""
        return self.regimes

    def regimes_at(self, radius: float | None = None, share: float = SHARE) -> pd.DataFrame:
        """The regime of each classifier: relative to the unregularised one, at noise of one length.

        A row each, with the columns `family`, `strength`, `regime` (`weak`, `bayes-aligned`, `excessive` or `inverted`;
        `uncertain` where none has a probability of 95 %), the probability of each, and `on` and `off`, the changes as shares of the
        unregularised classifier's. See `gradaudit.instruments.sweep.regimes` for the definition.

        Args:
            radius: one of those measured; the reference radius unless given.
            share: of the unregularised classifier's change, below which a classifier counts as robust in that direction; in (0, 1).

        Raises:
            InputError: a radius that was not measured, or a share out of its range.
        """
        known: list[float] = self.settings["radius"]
        radius = self.settings["reference_radius"] if radius is None else radius
        require(radius in known, "radius", radius, f"one of {', '.join(map(str, known))}")
        require(0 < share < 1, "share", share, "a number between 0 and 1")
        return find_regimes(self.classifiers, known.index(radius), share, self.settings["seed"])

    def peaks(self) -> pd.DataFrame:
        """Where alignment (at the first sigma) is largest in each family.

        Columns: `family`, `strength`, `alignment` with `low` and `high`, `peak` and `probability`. A `peak` is `intermediate` where
        it is at none of: no regularisation, the weakest and the strongest of the family, and that holds in 95 % of the resamples of
        the images (`probability`); `end` where it holds in at most 5 %; else `uncertain`. A family of one strength or two has `too
        few strengths`.
        """
        return find_peaks(self.classifiers, self.families, 0, self.settings["seed"])

    def correlation(self) -> pd.DataFrame:
        """Spearman's rank correlation of relative off-manifold robustness (over all radii) and alignment (at the first sigma).

        Columns: `family` (`all`, then each), `classifiers`, `correlation`, `low`, `high`. The 95 % interval is a percentile
        bootstrap over classifiers, so it says how far other strengths might have changed it; along a sweep they are not
        independent.
        """
        return correlate(self.classifiers, self.families, self.off_manifold_robustness, 0, self.settings["seed"])

    @property
    def families(self) -> tuple[str, ...]:
        """The families' names, without that of the unregularised classifier."""
        return tuple(self.settings["families"])

    @property
    def off_manifold_robustness(self) -> list[float]:
        """The relative off-manifold robustness of each classifier, the geometric mean over radii."""
        return list(self.rows(RATIO, None)["value"])

    def rows(self, measure: str, parameter: float | None = None) -> pd.DataFrame:
        """The table's rows of a measure at a parameter, None where it has none; one a classifier."""
        chosen = self.table[self.table["measure"] == measure]
        same = chosen["parameter"].isna() if parameter is None else chosen["parameter"] == parameter
        return chosen[same]

    def plot(self) -> Figure:
        """A column a family: accuracy, alignment, and the changes on and off the manifold against strength; regimes shaded."""
        from matplotlib.figure import Figure

        count = len(self.families)
        figure = Figure(figsize=(max(4.6, 3.4 * count), 7.2), layout="constrained")
        draw_panels(self, figure, PLAIN, columns=count)
        return legible(figure, self.settings.get("classes", ()))

    def map(self) -> Figure:
        """Every classifier: relative off-manifold robustness against alignment."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.6, 5.0), layout="constrained")
        draw_map(self, figure, PLAIN)
        return legible(figure, self.settings.get("classes", ()))

    def figures(self) -> dict[str, Figure]:
        """`sweep` and `map`."""
        return {self.kind: self.plot(), "map": self.map()}


def tabulate(details: Mapping[str, Any], settings: Mapping[str, Any]) -> pd.DataFrame:
    """The table."""
    rows = [(one.family, one.strength, *row) for one in read(details) for row in _rows(one, settings)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


Row = tuple[str, float, float, float, float]


def _rows(one: MeasuredClassifier, settings: Mapping[str, Any]) -> Iterator[Row]:
    nothing = float("nan")
    for eps, right in zip((nothing, *settings["eps"]), one.correct, strict=True):
        measure = "accuracy" if np.isnan(eps) else "pgd"
        yield measure, eps, *share_interval(right)
    yield "confidence", nothing, *mean_interval(one.confidence)
    for measure, values in (("alignment", one.alignment), ("alignment_control", one.control)):
        yield from _means(measure, settings["sigma"], values, mean_interval)
    for measure, values in (("change_on", one.changes[0]), ("change_off", one.changes[1])):
        yield from _means(measure, settings["radius"], values, change_interval)
    on, off = one.changes
    for radius, found in zip((*settings["radius"], nothing), ratio_intervals(on, off, settings["seed"]), strict=True):
        yield RATIO, radius, *found


def _means(
    measure: str, parameters: Sequence[float], values: np.ndarray, interval: Callable[[np.ndarray], Interval]
) -> Iterator[Row]:
    for parameter, own in zip(parameters, values, strict=True):
        yield measure, parameter, *interval(own)
