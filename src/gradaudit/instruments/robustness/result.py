"""Robustness's result: its table, what became of every image, its figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from gradaudit.errors import require
from gradaudit.instruments.robustness.methods import WORST
from gradaudit.intervals import share_interval
from gradaudit.lettering import legible
from gradaudit.results import Result
from gradaudit.training.store import unpacked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("attack", "norm", "eps", "accuracy", "low", "high")


@dataclass(frozen=True, eq=False)
class RobustnessResult(Result):
    """What `robustness` returns.

    `table` has a row for each attack or measure and each radius, with the columns `attack`, `norm` (what the radius is: `linf`,
    `l2`, or `std` for the standard deviation of `gaussian`), `eps` (the radius), `accuracy` (the share of images, in [0, 1]) and
    `low` and `high` (its 95 % Clopper-Pearson interval over images). With several attacks, the rows of `worst` count the images
    that withstand all. `details` keeps what became of every image, which `withstood` and `certificates` read, and the checks.
    """

    kind: ClassVar[str] = "robustness"

    @property
    def attacks(self) -> tuple[str, ...]:
        """The attacks that ran."""
        return tuple(self.details["correct"])

    @property
    def rows(self) -> tuple[str, ...]:
        """The names of all rows of the table, `worst` included."""
        return tuple(dict.fromkeys(self.table["attack"]))

    @property
    def clean_accuracy(self) -> float:
        """The share of the images, unperturbed, that are given their label."""
        return float(clean_images(self.details).mean())

    def withstood(self, attack: str, eps: float) -> np.ndarray:
        """Boolean (N,): which images keep their label under an attack, or under all for `"worst"`.

        Raises:
            InputError: an attack or a radius that was not measured.
        """
        names = self.attacks if attack == WORST else (attack,)
        require(set(names) <= set(self.attacks) and bool(names), "attack", attack, f"one of {', '.join(self.attacks)} or {WORST}")
        require(eps in self.settings["eps"], "eps", eps, f"one of {', '.join(map(str, self.settings['eps']))}")
        return withstood(self.details, names, self.settings["eps"].index(eps))

    def certificates(self, measure: str = "smoothing") -> pd.DataFrame:
        """A row for each image: its `label`, the `predicted` class of the smoothed classifier (-1: abstained), the `radius` (L2).

        Raises:
            InputError: there is no such measure.
        """
        known = self.details["certificates"]
        require(measure in known, "measure", measure, f"one of {', '.join(known)}" if known else "measured; nothing was certified")
        return pd.DataFrame({"label": self.details["labels"], **known[measure]})

    def plot(self) -> Figure:
        """Accuracy against radius with 95 % intervals: attacks as points joined by lines, certificates as their whole curve."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.subplots()
        for place, (name, rows) in enumerate(self.curves()):
            label, color = f"{name} ({rows['norm'].iloc[0]})", f"C{place}"
            if name in self.details["certificates"]:
                radii, shares = certified_curve(self.certificates(name))
                axes.step(radii, shares, where="post", color=color, linestyle="--", label=f"{label}, certified")
            spread = np.vstack([rows["accuracy"] - rows["low"], rows["high"] - rows["accuracy"]])
            line = "none" if name in self.details["certificates"] else "-" if name in (*self.attacks, WORST) else ":"
            style: dict[str, Any] = {"linestyle": line, "marker": "o", "capsize": 2}
            axes.errorbar(rows["eps"], rows["accuracy"], yerr=spread, color=color, label=label if line != "none" else None, **style)
        axes.axhline(self.clean_accuracy, color="0.5", linewidth=0.8, label="clean")
        axes.set(xlabel="radius eps", ylabel="share of images", ylim=(-0.02, 1.02), title="Robustness")
        axes.legend(fontsize="small")
        return legible(figure, self.settings.get("classes", ()))

    def curves(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Each name of the table with its rows."""
        for name in self.rows:
            yield name, self.table[self.table["attack"] == name]


def tabulate(details: Mapping[str, Any], settings: Mapping[str, Any], norms: Mapping[str, str]) -> pd.DataFrame:
    """The table.

    Args:
        details: what became of every image.
        settings: the settings of the run.
        norms: for each method's name, what its radius is.
    """
    names = [*norms]
    attacks = [name for name in names if name in details["correct"]]
    if len(attacks) > 1:
        names.insert(names.index(attacks[-1]) + 1, WORST)
    rows = []
    for name in names:
        for place, eps in enumerate(settings["eps"]):
            share = numbers_of(details, attacks, name, place, eps)
            rows.append((name, norms.get(name, settings["norm"]), eps, *share_interval(share)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def numbers_of(details: Mapping[str, Any], attacks: list[str], name: str, place: int, eps: float) -> np.ndarray:
    """Each image's number (N,) in [0, 1] whose mean is the accuracy of a row."""
    if name in details["shares"]:
        return np.array(details["shares"][name][place], dtype=float)
    if name in details["certificates"]:
        found = details["certificates"][name]
        right = np.array(found["predicted"]) == np.array(details["labels"])
        return np.asarray(right & (np.array(found["radius"]) >= eps), dtype=float)
    return withstood(details, attacks if name == WORST else [name], place).astype(float)


def withstood(details: Mapping[str, Any], attacks: tuple[str, ...] | list[str], place: int) -> np.ndarray:
    """Boolean (N,): which images withstand all of the attacks at the radius of that place."""
    count = len(details["labels"])
    kept: np.ndarray = np.all([unpacked(details["correct"][name][place], count) for name in attacks], axis=0)
    return kept


def clean_images(details: Mapping[str, Any]) -> np.ndarray:
    """Boolean (N,): which images, unperturbed, are given their label."""
    return unpacked(details["clean"], len(details["labels"]))


def certified_curve(certificates: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Radii, ascending from 0, and from each of them on the share of images certified beyond it."""
    radii = np.sort(certificates["radius"][certificates["predicted"] == certificates["label"]].to_numpy(dtype=float))
    count = len(certificates)
    return np.concatenate([[0.0], radii]), np.concatenate([[len(radii)], np.arange(len(radii) - 1, -1, -1)]) / count
