"""The trust radius's result: its table, the radius of every image, its figure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from gradaudit.instruments.trust_radius.statistics import AGREE, HALF, crossing, root_mean_square, squared_error
from gradaudit.intervals import Interval, mean_interval, share_interval
from gradaudit.lettering import legible
from gradaudit.packing import unpack
from gradaudit.results import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ESTIMATES = ("taylor", "mmse", "moments", "softmax")
COLUMNS = (
    *("sigma", "length", "images", "explained", "explained_low", "explained_high", "trusted", "trusted_low", "trusted_high"),
    *("p_mc", "p_mc_low", "p_mc_high", *(f"p_{name}" for name in ESTIMATES)),
    *(f"error_{name}{end}" for name in ESTIMATES for end in ("", "_low", "_high")),
)
BRIEF = ("sigma", "length", "explained", "explained_low", "explained_high", "trusted", "p_mc", "p_taylor", "error_taylor")


@dataclass(frozen=True, eq=False)
class TrustRadiusResult(Result):
    """What `trust_radius` returns.

    `table` has a row for each sigma: `sigma`, the standard deviation of the noise; `length`, its L2 length, sigma times the root of
    the number of coordinates; `images`; `explained`, the share of the mean squared change of the margin over the nearest rival that
    the gradient at the image predicts, the mean over images, 0 where predicting no change would do better; `trusted`, the share of
    images where that is at least half; `p_mc`, the share of noisy copies that keep the predicted class; `p_taylor`, `p_mmse`,
    `p_moments` and `p_softmax`, the means of its estimates; and `error_taylor` to `error_softmax`, the root mean square over images
    of their distance from the probability, of which the noise of Monte Carlo is taken off, so that it is 0 for an exact estimate.
    Columns with `_low` and `_high` are the ends of 95 % intervals over images, each of its own row alone.
    """

    kind: ClassVar[str] = "trust_radius"

    @property
    def brief(self) -> pd.DataFrame:
        """What a notebook shows."""
        return self.table[list(BRIEF)]

    @property
    def sigmas(self) -> tuple[float, ...]:
        """The standard deviations of the noise, ascending."""
        return tuple(self.settings["sigma"])

    @property
    def radius(self) -> Interval:
        """The sigma at which the explained share first falls below half, and where the ends of its intervals do.

        0 where it is below half at the smallest sigma, the largest sigma where it nowhere is.
        """
        return radius_of(self.table)

    @property
    def length(self) -> Interval:
        """The radius as the L2 length of the noise: times the root of the number of coordinates."""
        value, low, high = (one * root_of_coordinates(self.settings) for one in self.radius)
        return value, low, high

    @property
    def agreement(self) -> Interval:
        """The sigma at which the error of Taylor's probability first reaches 0.1, and where the ends of its intervals do.

        Within it, it says nothing where the class hardly ever changes: there every estimate agrees.
        """
        return agreement_of(self.table)

    @property
    def left_out(self) -> pd.DataFrame:
        """For each sigma at most so much are `taylor`, `mmse` and `moments` too high for the rivals that they do not follow.

        The union bound by the margins' moments, the mean over images.
        """
        means = unpack(self.details["left_out"]).mean(axis=2)
        return pd.DataFrame({"sigma": self.sigmas} | dict(zip(ESTIMATES, means.T, strict=False)))

    def per_image(self) -> pd.DataFrame:
        """A row for each image: the class `predicted`, its `nearest` rival, the `radius` (sigma) and its `length` (L2).

        Then, for each sigma, `explained_<sigma>`, `p_mc_<sigma>`, `p_taylor_<sigma>`, `p_mmse_<sigma>` and `p_moments_<sigma>`, and
        `p_softmax`.
        """
        found = {name: unpack(packed) for name, packed in self.details.items()}
        radii = np.array([crossing(self.sigmas, curve, HALF) for curve in found["explained"].T])
        columns = {"predicted": found["predicted"], "nearest": found["nearest"], "radius": radii}
        columns |= {"length": radii * root_of_coordinates(self.settings), "p_softmax": found["softmax"]}
        kept = kept_shares(self.details, self.settings)
        for place, sigma in enumerate(self.sigmas):
            columns |= {f"explained_{sigma:g}": found["explained"][place], f"p_mc_{sigma:g}": kept[place]}
            columns |= {f"p_{name}_{sigma:g}": found[name][place] for name in ("taylor", "mmse")}
            columns[f"p_moments_{sigma:g}"] = found["moments"][place].mean(axis=0)
        return pd.DataFrame(columns)

    def plot(self) -> Figure:
        """The explained share against sigma with 95 % intervals, and the probability of keeping the class with its estimates."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.4, 6.4), layout="constrained")
        share, probability = figure.subplots(2, sharex=True)
        _bars(share, self.table, "explained", color="C0", label="explained by the gradient, mean over images")
        share.plot(self.table["sigma"], self.table["trusted"], color="C0", linestyle=":", label="images where it is at least half")
        share.axhline(HALF, color="0.3", linewidth=0.8)
        _bars(probability, self.table, "p_mc", color="0.2", label="Monte Carlo")
        for place, name in enumerate(ESTIMATES):
            style: dict[str, Any] = {"color": f"C{place + 1}", "marker": "s^Dv"[place], "markersize": 4, "linestyle": "--"}
            probability.plot(self.table["sigma"], self.table[f"p_{name}"], label=name, **style)
        share.set(ylabel="share of the margin's change", ylim=(-0.03, 1.03), title="Trust radius")
        probability.set(ylabel="probability of keeping the class", xlabel="sigma of the noise", xscale="log", ylim=(-0.03, 1.03))
        for axes in (share, probability):
            axes.legend(fontsize="small")
        return legible(figure, self.settings.get("classes", ()))


def radius_of(table: pd.DataFrame) -> Interval:
    """The trust radius, from the table."""
    value, low, high = (crossing([*table["sigma"]], table[name].to_numpy(), HALF) for name in _with_ends("explained"))
    return value, low, high


def agreement_of(table: pd.DataFrame) -> Interval:
    """The sigma up to which Taylor's probabilities agree with Monte Carlo, from the table."""
    value, high, low = (crossing([*table["sigma"]], -table[name].to_numpy(), -AGREE) for name in _with_ends("error_taylor"))
    return value, low, high


def root_of_coordinates(settings: Mapping[str, Any]) -> float:
    """The length of noise of standard deviation 1 on images of this shape."""
    return math.sqrt(math.prod(settings["shape"]))


def kept_shares(details: Mapping[str, Any], settings: Mapping[str, Any]) -> np.ndarray:
    """The share of all copies that keep the class, (S, N)."""
    return np.average(unpack(details["kept"]), axis=1, weights=_halves(settings))


def tabulate(details: Mapping[str, Any], settings: Mapping[str, Any]) -> pd.DataFrame:
    """The table, from what was found around every image."""
    found = {name: unpack(packed) for name, packed in details.items()}
    kept = kept_shares(details, settings)
    errors = _squared_errors(found, kept, settings)
    rows = []
    for place, sigma in enumerate(settings["sigma"]):
        share = found["explained"][place]
        means = (found["taylor"][place], found["mmse"][place], found["moments"][place], found["softmax"])
        rows.append(
            (
                *(sigma, sigma * root_of_coordinates(settings), settings["images"]),
                *mean_interval(share, 0.0, 1.0),
                *share_interval(share >= HALF),
                *share_interval(kept[place]),
                *(float(one.mean()) for one in means),
                *(end for name in ESTIMATES for end in root_mean_square(errors[name][place])),
            )
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _squared_errors(found: Mapping[str, np.ndarray], kept: np.ndarray, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """For each estimate, each image's squared error at each sigma, (S, N), of which the noise of Monte Carlo is taken off.

    What was made of one half of the copies is compared with the other half, since it shares the noise of its own.
    """
    single = {name: found[name] for name in ("taylor", "mmse")} | {"softmax": np.broadcast_to(found["softmax"], kept.shape)}
    errors = {name: squared_error(one, kept, settings["copies"]) for name, one in single.items()}
    halves = _halves(settings)
    crossed = [squared_error(found["moments"][:, one], found["kept"][:, 1 - one], halves[1 - one]) for one in (0, 1)]
    return errors | {"moments": np.mean(crossed, axis=0)}


def _halves(settings: Mapping[str, Any]) -> tuple[int, int]:
    first = settings["copies"] // 2
    return first, settings["copies"] - first


def _with_ends(name: str) -> Iterator[str]:
    return (f"{name}{end}" for end in ("", "_low", "_high"))


def _bars(axes: Any, table: pd.DataFrame, name: str, **style: Any) -> None:
    value, low, high = (table[one] for one in _with_ends(name))
    spread: Sequence[Any] | None = None if low.isna().any() else [value - low, high - value]
    axes.errorbar(table["sigma"], value, yerr=spread, marker="o", markersize=5, capsize=2, **style)
