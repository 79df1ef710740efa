"""What a table of counterfactuals says on the whole: shares and means over images, with 95 % intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gradaudit.intervals import mean_interval, share_interval

FIXED = ("method", "image", "seed", "source", "target", "confidence_before", "confidence_after", "flipped", "other", "failed")
RANGES = {  # of measures whose names begin so
    "confidence": (0.0, 1.0),
    "stable": (0.0, 1.0),
    "reached": (0.0, 1.0),
    "kept": (0.0, 1.0),
    "outside_mask": (0.0, 1.0),
    "similarity": (-1.0, 1.0),
    "cout": (-1.0, 1.0),
    "l": (0.0, np.inf),
    "diversity": (0.0, np.inf),
}
NOTHING = (np.nan, np.nan, np.nan)  # of no image
FLIP_RATE, DISAGREE_RATE = "flip_rate", "disagree_rate"
AGREED, KEPT = "agreed_", "kept_"  # how the columns begin that say what oracles see


class SummaryLine(NamedTuple):
    """A line of the summary: a mean over `images` images, and the ends of its interval."""

    method: str
    measure: str
    value: float
    low: float
    high: float
    images: int

    def to_json(self) -> dict[str, Any]:
        """The line as plain JSON values, None where it is NaN."""
        return {name: None if value != value else value for name, value in self._asdict().items()}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> SummaryLine:
        """The line that `to_json` described."""
        return SummaryLine._make(np.nan if data[name] is None else data[name] for name in SummaryLine._fields)


def summarise(table: pd.DataFrame, details: Mapping[str, Any]) -> pd.DataFrame:
    """A row for each method and measure, with the columns `method, measure, value, low, high, images`.

    `flip_rate`, which is `disagree_rate` against another classifier, is over all images, failures included; `agreed_<oracle>` and
    `kept_<oracle>` over the flipped; all others over those that did not fail. Several counterfactuals of an image count as one, by
    their mean.
    """
    rate = rate_of(details)
    lines = [line for method, rows in table.groupby("method", sort=False) for line in _lines(str(method), rows, rate)]
    lines += [SummaryLine.from_json(one) for one in details["sets"]]
    return pd.DataFrame(lines, columns=list(SummaryLine._fields))


def rate_of(details: Mapping[str, Any]) -> str:
    """What the share of flipped images is called."""
    return DISAGREE_RATE if "against" in details else FLIP_RATE


def _lines(method: str, rows: pd.DataFrame, rate: str) -> Iterator[SummaryLine]:
    made, flipped = rows[rows["failed"] == ""], rows[rows["flipped"]]
    yield SummaryLine(method, rate, *share_of_images(rows, "flipped"))
    for measure in (column for column in rows.columns if column.startswith((AGREED, KEPT))):
        yield SummaryLine(method, measure, *share_of_images(flipped, measure))
    for measure in ("confidence_after", *(column for column in rows.columns if column not in FIXED)):
        if not measure.startswith((AGREED, KEPT)):
            yield SummaryLine(method, measure, *mean_of_images(made, measure))


def share_of_images(rows: pd.DataFrame, column: str) -> tuple[float, float, float, int]:
    """The share of images for which it holds (the mean of an image's rows), its Clopper-Pearson interval, and their number."""
    shares = _by_image(rows, column)
    return (*(share_interval(shares) if len(shares) else NOTHING), len(shares))


def mean_of_images(rows: pd.DataFrame, column: str) -> tuple[float, float, float, int]:
    """The mean over images, the ends of its t interval, kept within what it can be (NaN for one image), and their number."""
    values = _by_image(rows, column)
    within = next((ends for start, ends in RANGES.items() if column.startswith(start)), (-np.inf, np.inf))
    return (*(mean_interval(values, *within) if len(values) else NOTHING), len(values))


def _by_image(rows: pd.DataFrame, column: str) -> np.ndarray:
    values: np.ndarray = rows[column].astype(float).groupby(rows["image"]).mean().dropna().to_numpy()
    return values
