"""Alignment's result: its table, the value of every image, its figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from gradaudit.instruments.alignment.examples import Examples, read_examples
from gradaudit.instruments.alignment.rows import Row, fixed_controls, other_image, rows
from gradaudit.instruments.alignment.transfer import transfer_table
from gradaudit.intervals import mean_interval
from gradaudit.lettering import legible
from gradaudit.results import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = (*Row._fields, "value", "low", "high")


@dataclass(frozen=True, eq=False)
class AlignmentResult(Result):
    """What `alignment` returns.

    `table` has a row for each gradient (controls included), score, sigma and similarity, with the columns `gradient`, `score`,
    `sigma` (in pixel values of [0, 1]), `similarity`, `value` (the mean over images) and `low` and `high` (its 95 % t-interval).
    `details` keeps the value of every image, which `per_image` reads, how many gradients and scores have no direction of
    their own, and how well the denoiser denoises. `transfer` is a table of its own, where oracles were given.
    """

    kind: ClassVar[str] = "alignment"

    @property
    def gradients(self) -> tuple[str, ...]:
        """The gradients that were audited."""
        return tuple(self.settings["gradients"])

    @property
    def controls(self) -> tuple[str, ...]:
        """The controls beside them: each gradient taken at another image, noise, and the image's edges."""
        return (*map(other_image, self.gradients), *fixed_controls(self.settings))

    @cached_property
    def transfer(self) -> pd.DataFrame:
        """What the classifier itself and each oracle see in images that were changed by the classifier's gradient; see `transfer`.

        `oracle`, `radius` (L2), `value` (the share of the images in which the class is seen that they were changed towards), `low`
        and `high` (its 95 % Clopper-Pearson interval), `before` (the share in which it is seen in the unchanged image). No row
        where no oracle was given.
        """
        return transfer_table(self.details.get("transfer"))

    @cached_property
    def pictures(self) -> Examples:
        """Up to eight images with their gradients and scores."""
        return read_examples(self.details, self.settings)

    def per_image(self) -> pd.DataFrame:
        """The values behind the means: `image` (its number), `label`, `gradient`, `score`, `sigma`, `similarity`, `value`."""
        classes = np.array(self.settings["classes"])
        labels = classes[self.details["labels"]]
        parts = [
            pd.DataFrame({"image": np.arange(len(values)), "label": labels, **row._asdict(), "value": values})
            for row, values in values_of(self.details, self.settings).items()
        ]
        return pd.concat(parts, ignore_index=True)

    def curves(self, similarity: str) -> Iterator[tuple[str, str, pd.DataFrame]]:
        """Each gradient (controls included) and score with its rows for a similarity, sigma ascending."""
        for (gradient, score), part in self.table[self.table["similarity"] == similarity].groupby(
            ["gradient", "score"], sort=False
        ):
            yield str(gradient), str(score), part

    def plot(self) -> Figure:
        """Value against sigma with 95 % intervals, one panel a similarity; controls are dotted."""
        from matplotlib.figure import Figure

        names = self.settings["similarities"]
        figure = Figure(figsize=(6.4, 1.2 + 3.2 * len(names)), layout="constrained")
        for axes, name in zip(figure.subplots(len(names), squeeze=False)[:, 0], names, strict=True):
            self._draw(axes, name)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="x-small")
        return legible(figure, self.settings.get("classes", ()))

    def gallery(self) -> Figure:
        """A row an image: the image, each gradient, each score; red above zero, blue below, each map on its own scale."""
        from matplotlib.figure import Figure

        shown = self.pictures
        columns = {name: maps for group in (shown.gradients, shown.scores) for name, maps in group.items()}
        figure = Figure(figsize=(1.5 * (1 + len(columns)), 1.6 * len(shown.labels)), layout="constrained")
        grid = figure.subplots(len(shown.labels), 1 + len(columns), squeeze=False)
        for place, row in enumerate(grid):
            row[0].imshow(shown.images[place].movedim(0, -1).numpy(), cmap="gray", vmin=0, vmax=1)
            row[0].set_title(shown.labels[place], fontsize="small")
            for axes, (name, maps) in zip(row[1:], columns.items(), strict=True):
                summed = maps[place].sum(dim=0)
                limit = float(summed.abs().max()) or 1.0
                axes.imshow(summed.numpy(), cmap="RdBu_r", vmin=-limit, vmax=limit)
                axes.set_title(name if place == 0 else "", fontsize="small")
        for axes in grid.flat:
            axes.set_axis_off()
        return legible(figure, self.settings.get("classes", ()))

    def _draw(self, axes: Axes, similarity: str) -> None:
        for place, (gradient, score, found) in enumerate(self.curves(similarity)):
            spread = np.vstack([found["value"] - found["low"], found["high"] - found["value"]])
            line = ":" if gradient in self.controls else "-"
            label = f"{gradient}, {score}"
            axes.errorbar(
                found["sigma"], found["value"], yerr=spread, color=f"C{place}", linestyle=line, marker="o", capsize=2, label=label
            )
        axes.axhline(0, color="0.5", linewidth=0.8)
        axes.set(xlabel="sigma, in pixel values of [0, 1]", ylabel=similarity, title="Alignment")


def values_of(details: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[Row, np.ndarray]:
    """For each row of the table its images' values (N,)."""
    gradients, scores, sigmas, similarities = (settings[key] for key in ("gradients", "scores", "sigma", "similarities"))
    names = rows(gradients, scores, sigmas, similarities, fixed_controls(settings))
    return {row: np.array(values) for row, values in zip(names, details["values"], strict=True)}


def tabulate(details: Mapping[str, Any], settings: Mapping[str, Any]) -> pd.DataFrame:
    """The table."""
    found = [(*row, *mean_interval(values)) for row, values in values_of(details, settings).items()]
    return pd.DataFrame(found, columns=list(COLUMNS))
