"""The planted maps: attribution maps whose quality is known without any instrument, and what the instruments said of them.

`planted.csv` has a row for each map: `world`, `classifier`, `map`, its `quality`, and a column for each calibrated measure.
`benchmarks/planted.py` makes it: worlds in which the pixels that tell the label are known (blocks, triggers, a Gaussian mixture),
classifiers of them that provably use these pixels, and maps of such classifiers. The quality is the share of a map's top pixels
that lie in the region, from 0 at chance to 1. A map is good from 0.5 on, and bad up to 0.25.

Some measures are of a classifier, whatever the map. They are compared with those of the planted classifiers, by the quality of
their plain gradients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

import numpy as np
import pandas as pd
from scipy import optimize

from gradaudit.results import read_table

GOOD, BAD = 0.5, 0.25  # of the way from chance to a map whose top lies in the region throughout
NEAREST = 60  # planted maps that are called such as this one
NEAREST_CLASSIFIERS = 15  # and planted classifiers
PLAIN = "gradient"  # the map by which a planted classifier counts as good or bad
LEAST = 1e-6  # weight of a measure by itself: the nearest in its number are the nearest whatever it is worth
STEPS = 24  # of a scale's curve
PENALTY = 0.01  # on the squared weights of a model of several measures


@dataclass(frozen=True)
class Measure:
    """A number that was calibrated.

    Args:
        instrument: that gives it.
        name: in a sentence.
        words: what it is.
        low: left end of its scale.
        high: right end.
        of: `map`; `classifier`, whatever the map; or `truth`, where it is the quality itself.
    """

    instrument: str
    name: str
    words: str
    low: float
    high: float
    of: Literal["map", "classifier", "truth"] = "map"


MEASURES = {
    "values": Measure(
        "diffroar", "values", "values of the top 5 % less the bottom 5 %, share of what whole images tell", -0.5, 1.0
    ),
    "fidelity_mean": Measure(
        "fidelity", "fidelity (mean)", "accuracy on the top 10 % less the bottom 10 %, the rest filled by the mean", -0.5, 1.0
    ),
    "fidelity_imputation": Measure(
        "fidelity", "fidelity", "accuracy on the top 10 % less the bottom 10 %, the rest imputed", -0.5, 1.0
    ),
    "alignment": Measure("alignment", "alignment", "cosine with the Bayes score at sigma 0.25, magnitudes", 0.0, 1.0),
    "contrast": Measure("contrast", "contrast", "cosine with the contrast of unlike neighbours, magnitudes", 0.0, 1.0),
    "robustness": Measure("robustness", "robustness", "accuracy under attack, L2 1", 0.0, 1.0, of="classifier"),
    "manifold_robustness": Measure(
        "manifold_robustness", "manifold robustness", "relative off-manifold robustness", 0.0, 10.0, of="classifier"
    ),
    "trust_radius": Measure("trust_radius", "trust radius", "trust radius, sigma", 0.0, 0.3, of="classifier"),
    "counterfactual": Measure(
        "counterfactual", "counterfactuals", "svce: flips that another classifier agrees with", 0.0, 1.0, of="classifier"
    ),
    "quality": Measure(
        "leakage", "quality", "share of the top 10 % that lies on the signal, from 0 at chance to 1", -0.5, 1.0, of="truth"
    ),
}
OF_MAPS = tuple(name for name, one in MEASURES.items() if one.of == "map")
OF_CLASSIFIERS = tuple(name for name, one in MEASURES.items() if one.of == "classifier")


@dataclass(frozen=True)
class Likes:
    """The planted maps that are nearest to a map, or the planted classifiers that are nearest to one.

    Args:
        count: how many.
        good: of these, good ones, or with good gradients.
        bad: bad ones.
        classifiers: whether they are classifiers.
    """

    count: int
    good: int
    bad: int
    classifiers: bool = False

    def __str__(self) -> str:
        if self.classifiers:
            near = f"of the {self.count} classifiers of known gradients with the nearest number"
            return f"{near}, those of {self.good} were good and those of {self.bad} bad"
        return f"of the {self.count} maps of known quality with the nearest number, {self.good} were good and {self.bad} bad"


@cache
def table() -> pd.DataFrame:
    """The planted maps."""
    with resources.as_file(resources.files(__package__) / "planted.csv") as path:
        return read_table(path)


@dataclass(frozen=True)
class Scale:
    """A measure's scale.

    Args:
        low: its left end.
        high: its right end.
        curve: pairs of a value, ascending, and the share of the planted maps with such values that were good.
    """

    low: float
    high: float
    curve: tuple[tuple[float, float], ...]


@cache
def scale(measure: str) -> Scale | None:
    """The calibrated scale of a measure, by its words; None where there is none."""
    for name, one in MEASURES.items():
        if one.words == measure:
            model, values = fitted((name,)), np.linspace(one.low, one.high, STEPS + 1)
            shares = (found.good / found.count for found in (model.likes({name: float(value)}) for value in values))
            return Scale(one.low, one.high, tuple(zip(map(float, values), shares, strict=True)))
    return None


@dataclass(frozen=True, eq=False)
class Model:
    """A logistic model of being good from some measures, fitted to the planted maps that have them.

    Args:
        measures: by name.
        centre: of each, by which they are made comparable.
        spread: likewise.
        weights: of each, and the constant last.
        index: of the planted maps, ascending.
        quality: of the planted maps, in the same order.
    """

    measures: tuple[str, ...]
    centre: np.ndarray
    spread: np.ndarray
    weights: np.ndarray
    index: np.ndarray
    quality: np.ndarray

    def at(self, values: Mapping[str, float]) -> float:
        """The index of a map: the logarithm of the odds that it is good."""
        found = (np.array([values[one] for one in self.measures]) - self.centre) / self.spread
        return float(found @ self.weights[:-1] + self.weights[-1])

    @property
    def of_classifiers(self) -> bool:
        """Whether it is of classifiers, whatever the map."""
        return any(one in OF_CLASSIFIERS for one in self.measures)

    def likes(self, values: Mapping[str, float]) -> Likes:
        """The planted maps, or classifiers, whose index is nearest."""
        apart = np.abs(self.index - self.at(values))
        near = self.quality[np.argsort(apart, kind="stable")[: NEAREST_CLASSIFIERS if self.of_classifiers else NEAREST]]
        return Likes(len(near), int((near >= GOOD).sum()), int((near <= BAD).sum()), self.of_classifiers)


@cache
def fitted(measures: tuple[str, ...]) -> Model:
    """The model of these measures."""
    rows = table()
    if any(one in OF_CLASSIFIERS for one in measures):
        rows = rows[rows["map"] == PLAIN]
    return fit(rows, measures)


def fit(rows: pd.DataFrame, measures: tuple[str, ...]) -> Model:
    """The model of these measures on these planted maps. Maps that are neither good nor bad have no part in the fit.

    Weights are at least 0: a larger number never makes a map worse.
    """
    rows = rows.dropna(subset=[*measures])
    numbers, quality = rows[[*measures]].to_numpy(float), rows["quality"].to_numpy(float)
    centre, spread = numbers.mean(axis=0), numbers.std(axis=0).clip(1e-9)
    scaled = np.hstack([(numbers - centre) / spread, np.ones((len(rows), 1))])
    clear = (quality >= GOOD) | (quality <= BAD)
    signs = np.where(quality[clear] >= GOOD, 1.0, -1.0)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signs * (scaled[clear] @ weights)
        pull = -signs / (1 + np.exp(margins.clip(-500, 500))) / len(signs)
        value = float(np.logaddexp(0, -margins).mean() + PENALTY * (weights[:-1] ** 2).sum() / 2)
        return value, scaled[clear].T @ pull + PENALTY * np.append(weights[:-1], 0)

    bounds = [(LEAST if len(measures) == 1 else 0, None)] * len(measures) + [(None, None)]
    weights = optimize.minimize(loss, np.zeros(len(bounds)), jac=True, bounds=bounds, method="L-BFGS-B").x
    index = scaled @ weights
    order = np.argsort(index, kind="stable")
    return Model(measures, centre, spread, weights, index[order], quality[order])
