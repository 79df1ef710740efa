"""The measures that DiffROAR gives of every ranking and level, and the table's columns behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

ACCURACIES = ("top", "bottom", "mask_top", "mask_bottom", "both_top", "both_bottom")
BITS = tuple(f"bits_{column}" for column in ACCURACIES)
SIDED = ("values", "selection", "swap", "as_read")  # what an evaluator gives of either side, in bits
COLUMNS = (
    *("attribution", "level", "seed", "values_top", "values_bottom", "values", "selection_top", "selection_bottom"),
    *("swap_top", "swap_bottom", "as_read_top", "as_read_bottom", "top", "bottom", "diffroar", "mask_top", "mask_bottom"),
    *("both_top", "both_bottom", *BITS, "diffroar_bits", "diffroar_conditional"),
)


@dataclass(frozen=True, eq=False)
class Measure:
    """A difference between top and bottom, or what there is on one side.

    Args:
        column: of the table.
        prefix: of its columns in the summary, and of its part of the details.
        weights: of what it is the sum, by the table's columns of accuracies or bits.
    """

    column: str
    prefix: str
    weights: dict[str, int]

    def of(self, values: Mapping[str, Any]) -> Any:
        """The measure of numbers, or of arrays image by image; NaN where one of its parts was not measured."""
        return sum(weight * np.asarray(values[column], dtype=float) for column, weight in self.weights.items())


RAW = Measure("diffroar", "", {"top": 1, "bottom": -1})
IN_BITS = Measure("diffroar_bits", "bits_", {"bits_top": -1, "bits_bottom": 1})
# The information of the kept pixels given the mask is bits(mask) - bits(both), on each side (Hewitt, Ethayarajh, Liang and Manning,
# EMNLP 2021, Conditional probing, section 3).
CONDITIONAL = Measure(
    "diffroar_conditional",
    "conditional_",
    {"bits_mask_top": 1, "bits_both_top": -1, "bits_mask_bottom": -1, "bits_both_bottom": 1},
)
VALUES = Measure("values", "values_", {"values_top": 1, "values_bottom": -1})
BY_SIDE = {
    (kind, side): Measure(f"{kind}_{side}", f"{kind}_{side}_", {f"{kind}_{side}": 1})
    for kind in SIDED
    for side in ("top", "bottom")
}
MEASURES = (RAW, IN_BITS, CONDITIONAL, VALUES, *BY_SIDE.values())
ALWAYS = (RAW, IN_BITS, CONDITIONAL)  # in every summary; the others where they were measured
