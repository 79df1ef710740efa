"""What figures, animation and image files need of counterfactuals, so that none of them knows the result that shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import pandas as pd
from torch import Tensor


class Shown(Protocol):
    """Counterfactuals, a row each; `CounterfactualResult` is such, and says what each part holds."""

    @property
    def table(self) -> pd.DataFrame:
        """A row a counterfactual."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """`classes`, the names of the classes."""

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods, in their order."""

    @property
    def oracles(self) -> tuple[str, ...]:
        """The classifiers that were asked whether they see the target too."""

    @property
    def images(self) -> Tensor:
        """The counterfactuals, uint8 (N, C, H, W)."""

    @property
    def originals(self) -> Tensor:
        """The images that were to change, uint8 (N, C, H, W)."""

    @property
    def frames(self) -> Mapping[int, Tensor]:
        """The way there by row, uint8 (T, C, H, W), for those rows that kept it."""

    @property
    def steps(self) -> Mapping[str, Mapping[str, np.ndarray]]:
        """Diagnostics by method and name, (n, S)."""

    @property
    def summary(self) -> pd.DataFrame:
        """Shares and means, with the columns `method, measure, value, low, high, images`."""

    def examples(self, count: int) -> list[Mapping[str, int]]:
        """Up to `count` images: for each, its row by method."""
