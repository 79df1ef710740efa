"""The counterfactuals' result: a row an image, the images themselves, the way there, figures."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gradaudit.errors import require
from gradaudit.instruments.counterfactual.animation import write_animation
from gradaudit.instruments.counterfactual.drawing import draw
from gradaudit.instruments.counterfactual.gallery import gallery
from gradaudit.instruments.counterfactual.summary import summarise
from gradaudit.instruments.counterfactual.writing import write_images
from gradaudit.packing import unpack
from gradaudit.results import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXAMPLES = 8


@dataclass(frozen=True, eq=False)
class CounterfactualResult(Result):
    """What `counterfactual` returns.

    `table` has a row for each method, image, target and seed: `method`, `image` (its number), `seed`, `source` (the class that the
    classifier gives the original) and `target`, by name, `confidence_before` and `confidence_after` (the classifier's in the
    target), `flipped`, `failed` (why there is none; empty where there is one), and a column for each measure, NaN where there is
    no counterfactual. Against another classifier, `flipped` is whether `reached` and `kept` both hold, and `other` is the class
    that it sees now.
    """

    kind: ClassVar[str] = "counterfactual"

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods; the verdict is about the first."""
        return tuple(self.settings["methods"])

    @property
    def oracles(self) -> tuple[str, ...]:
        """The classifiers that were asked whether they see the target too."""
        return tuple(self.details["oracles"])

    @property
    def against(self) -> bool:
        """Whether another classifier was to keep its class."""
        return "against" in self.details

    @cached_property
    def images(self) -> Tensor:
        """The counterfactuals, uint8 (N, C, H, W), one for each row of the table; the original where it failed."""
        return torch.from_numpy(unpack(self.details["images"]))

    @cached_property
    def originals(self) -> Tensor:
        """The images that were to change, uint8 (N, C, H, W), one for each row of the table."""
        return torch.from_numpy(unpack(self.details["originals"]))[self.table["image"].tolist()]

    @property
    def targets(self) -> Tensor:
        """The classes that were wanted, int64 (N,)."""
        return torch.tensor(self.details["targets"])

    @cached_property
    def frames(self) -> dict[int, Tensor]:
        """The way there for those rows whose frames were kept: uint8 (T, C, H, W) each, the last one being the counterfactual."""
        return {int(row): torch.from_numpy(unpack(kept)) for row, kept in self.details["frames"].items()}

    @cached_property
    def steps(self) -> dict[str, dict[str, np.ndarray]]:
        """Diagnostics by method and name, float32 (n, S): a row for each of the method's rows, NaN where a step has none."""
        return {method: {name: unpack(one) for name, one in found.items()} for method, found in self.details["steps"].items()}

    @property
    def summary(self) -> pd.DataFrame:
        """Shares and means with 95 % intervals, with the columns `method, measure, value, low, high, images`.

        `flip_rate` counts failures as not flipped; `agreed_<oracle>` is the share of the flipped images that the oracle gives the
        target; all others are means over the images that did not fail. Several rows of an image count as one, by their mean.
        Against another classifier the first is `disagree_rate`, and `kept_<oracle>` the share of the flipped images that the oracle
        gives the class which the other one keeps.
        """
        return summarise(self.table, self.details)

    @property
    def brief(self) -> pd.DataFrame:
        """`summary`."""
        return self.summary

    def rows(self, method: str) -> pd.DataFrame:
        """The rows of a method; the index says where they stand in `images`.

        Raises:
            InputError: a method that did not run.
        """
        require(method in self.methods, "method", method, f"one of {', '.join(self.methods)}")
        return self.table[self.table["method"] == method]

    def examples(self, count: int = EXAMPLES) -> list[Mapping[str, int]]:
        """Up to `count` images, as far as there are of different sources and targets: for each, its row by method."""
        keys = ["image", "target", "seed"]
        first = self.rows(self.methods[0]).drop_duplicates(["image", "target"])
        pairs = first.groupby(["source", "target"], sort=False).cumcount()
        chosen = first.loc[pairs.sort_values(kind="stable").index[:count]].sort_index()
        places = {tuple(row[:4]): place for place, *row in self.table[["method", *keys]].itertuples(name=None)}
        shown = chosen[keys].itertuples(index=False, name=None)
        return [{method: places[(method, *key)] for method in self.methods} for key in shown]

    def plot(self) -> Figure:
        """Flip rates and oracles' agreement by method, and each diagnostic step by step: median and middle half of the images."""
        return draw(self)

    def gallery(self, count: int = EXAMPLES) -> Figure:
        """A row an image: the original, and by method the counterfactual, the difference and the classifier's confidences."""
        return gallery(self, count)

    def animation(self, path: str | os.PathLike[str], count: int = EXAMPLES) -> Path:
        """Write the way from original to counterfactual as one animated sheet; return its path.

        Args:
            path: ends in `.webp` or `.gif`; written whole or not at all.
            count: images at most, a column each; a row for each method that keeps frames.

        Raises:
            InputError: another ending, or no method has kept frames.
            StoreError: the file can't be written.
        """
        return write_animation(self, path, count)

    def write_images(self, folder: str | os.PathLike[str]) -> Path:
        """Write `0003_4.png` for each original and `0003_4_to_9_dvce_seed0.png` for each counterfactual; return the folder.

        Raises:
            InputError: the folder can't be written.
            StoreError: a file can't be.
        """
        return write_images(self, folder)

    def figures(self) -> dict[str, Figure]:
        """The gallery and the figure."""
        return {f"{self.kind}_gallery": self.gallery(), self.kind: self.plot()}
