"""Intervals over independent seeds and test images, and the verdict."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, stats

from gradaudit.results import Verdict

CONFIDENCE = 0.95
POWER = 0.8
MORE = 0.02  # by how much a part of the image must beat the whole to count


@dataclass(frozen=True)
class Interval:
    """Mean over seeds of a paired difference, with its intervals.

    Args:
        mean: mean over seeds.
        low: lower end of the 95 % interval; NaN for a single seed.
        high: its upper end.
        low_all: lower end of the interval that holds at all levels at once (Bonferroni).
        high_all: its upper end.
        detectable: smallest difference that a test corrected for the levels would have found with a probability of 80 %.
    """

    mean: float
    low: float
    high: float
    low_all: float
    high_all: float
    detectable: float


def image_variance(differences: np.ndarray) -> float:
    """The part of the variance of the mean difference that comes from the choice of test images.

    Seeds and test images are crossed: each seed's learners see the same images. The variance of the mean is the sum of a part for
    seeds and a part for images less the residual, which both contain (two-way random effects without replication; Searle, Casella
    and McCulloch, Variance Components, 1992, chapter 4). This is images less residual, at least 0.

    Args:
        differences: (S, N): 1, 0 or -1 for seed s and image i: correct with the top features less correct with the bottom ones.
    """
    seeds, images = differences.shape
    of_images = differences.mean(axis=0)
    residual = differences - of_images - differences.mean(axis=1, keepdims=True) + differences.mean()
    freedom = max((seeds - 1) * (images - 1), 1)
    part = of_images.var(ddof=1) / images - float((residual**2).sum()) / freedom / (seeds * images)
    return max(float(part), 0.0)


def interval(values: Sequence[float], comparisons: int, resolution: float, image_part: float = 0.0, images: int = 2) -> Interval:
    """The interval of the mean over seeds and test images, also corrected for the number of comparisons.

    Args:
        values: one for each seed.
        comparisons: number of levels over which the corrected interval holds.
        resolution: the step in which a value moves (one test image); no standard deviation over seeds below it is believed.
        image_part: variance of the mean that comes from the choice of test images, from `image_variance`.
        images: number of test images.
    """
    array = np.asarray(values, dtype=float)
    mean, count = float(array.mean()), len(array)
    if count < 2:
        nan = float("nan")
        return Interval(mean, nan, nan, nan, nan, nan)
    seed_part = max(float(array.var(ddof=1)), resolution**2) / count
    variance = seed_part + image_part
    error = float(np.sqrt(variance))
    # Satterthwaite's degrees of freedom for a sum of two estimated variances.
    freedom = variance**2 / (seed_part**2 / (count - 1) + image_part**2 / (images - 1))
    one, every = (float(stats.t.ppf(1 - (1 - CONFIDENCE) / 2 / number, freedom)) for number in (1, comparisons))
    lows_and_highs = (mean - one * error, mean + one * error, mean - every * error, mean + every * error)
    return Interval(mean, *lows_and_highs, _shift_found(every, freedom) * error)


@functools.cache
def _shift_found(critical: float, freedom: float) -> float:
    """The shift, in standard errors, that a t test with this critical value finds with a probability of `POWER`."""
    # The mean of the shifted normal's tail over the distribution of the estimated error. For few seeds `critical` plus a quantile
    # of t is up to a fifth too small, and scipy's noncentral t fails far out.
    errors = np.sqrt(stats.chi2.ppf((np.arange(2000) + 0.5) / 2000, freedom) / freedom)
    return float(optimize.brentq(lambda shift: stats.norm.sf(critical * errors - shift).mean() - POWER, 0, 2 * critical + 10))


def summarise(table: pd.DataFrame, test_count: int, image_parts: Mapping[str, Sequence[float]]) -> pd.DataFrame:
    """One row for each attribution and level: mean accuracies over seeds, and DiffROAR with its intervals.

    Args:
        table: DiffROAR's table.
        test_count: number of test images.
        image_parts: for each attribution, level by level, the `image_variance`.
    """
    comparisons = table["level"].nunique()
    rows = []
    parts = {name: iter(values) for name, values in image_parts.items()}
    for (name, level), cells in table.groupby(["attribution", "level"], sort=False):
        means = {column: cells[column].mean() for column in ("top", "bottom", "mask_top", "mask_bottom")}
        found = interval(list(cells["diffroar"]), comparisons, 1 / test_count, next(parts[str(name)]), test_count)
        rows.append({"attribution": name, "level": level, "seeds": len(cells), **means, **_columns(found)})
    return pd.DataFrame(rows)


def verdict(summary: pd.DataFrame, name: str, controls: Sequence[str], chance: float, whole: float) -> Verdict:
    """What DiffROAR says of one attribution: does it rank discriminative features high?

    `violated` if DiffROAR is below 0 at some level; `holds` if it is above 0 at half of the levels or more, and below 0 at
    none; otherwise `inconclusive`. Above and below mean that the interval which holds at all levels at once excludes 0.

    Args:
        summary: from `summarise`.
        name: the attribution.
        controls: names of the controls in the summary.
        chance: accuracy of a constant answer.
        whole: mean accuracy of learners that see whole images.
    """
    rows = summary[summary["attribution"] == name]
    above, below = rows[rows["low_all"] > 0], rows[rows["high_all"] < 0]
    caveats = (*_against_controls(summary, rows, controls), *_mask_speaks(rows, chance), *_more_than_whole(rows, whole))
    if rows["seeds"].min() < 2:
        sentence = "one seed gives no interval; use at least 2 seeds, better 5"
        return Verdict("inconclusive", sentence, caveats)
    if len(below):
        worst = below.sort_values("mean").iloc[0]
        mixed = f", though it is above 0 at {_levels(above)}" if len(above) else ""
        sentence = (
            f"at {_levels(below)} the bottom-ranked features carry more label information than the top-ranked ones"
            f" ({_spell(worst)}){mixed}"
        )
        return Verdict("violated", sentence, caveats)
    if 2 * len(above) >= len(rows):
        best = above.sort_values("mean").iloc[-1]
        sentence = (
            f"the top-ranked features carry more label information than the bottom-ranked ones at {_levels(above)} ({_spell(best)})"
        )
        return Verdict("holds", sentence, caveats)
    where = f"is above 0 at {_levels(above)} only" if len(above) else "differs from 0 at no level"
    return Verdict("inconclusive", f"DiffROAR {where}; {_detectable(rows)}", caveats)


def _against_controls(summary: pd.DataFrame, rows: pd.DataFrame, controls: Sequence[str]) -> list[str]:
    """A caveat for each control that is above 0, by the interval for all levels, and not below the audited attribution."""
    caveats = []
    ours = rows.set_index("level")["mean"]
    for control in controls:
        theirs = summary[summary["attribution"] == control].set_index("level")
        as_good = theirs[(theirs["mean"] >= ours) & (theirs["low_all"] > 0)]
        if len(as_good):
            caveats.append(
                f"the control {control}, which knows no classifier, reaches the same DiffROAR or more at"
                f" {', '.join(_percent(level) for level in as_good.index)}"
            )
    return caveats


def _mask_speaks(rows: pd.DataFrame, chance: float) -> list[str]:
    """A caveat where a learner that sees no pixel gets at least half of what the kept pixels give above chance."""
    caveats = []
    for side in ("top", "bottom"):
        share = (rows[f"mask_{side}"] - chance) / (rows[side] - chance).clip(lower=0.02)
        speaking = rows[(share >= 0.5) & (rows[f"mask_{side}"] > chance + 0.1)]
        if len(speaking):
            most = speaking.sort_values(f"mask_{side}").iloc[-1]
            caveats.append(
                f"the shape of the {side} mask alone, without the image, lets a learner reach"
                f" {most[f'mask_{side}']:.3f} at {_percent(most['level'])} (kept pixels: {most[side]:.3f})"
            )
    return caveats


def _more_than_whole(rows: pd.DataFrame, whole: float) -> list[str]:
    """A caveat where a part of the image seems to say more than all of it: only the mask can have told the label."""
    caveats = []
    for side in ("top", "bottom"):
        more = rows[rows[side] > whole + MORE]
        if len(more):
            most = more.sort_values(side).iloc[-1]
            caveats.append(
                f"learners reach {most[side]:.3f} from the {side} {_percent(most['level'])}, more than the {whole:.3f} from whole"
                " images: no choice of pixels can do that, so the shape of the mask tells the label"
            )
    return caveats


def _levels(rows: pd.DataFrame) -> str:
    return ", ".join(_percent(level) for level in rows["level"])


def _percent(level: float) -> str:
    return f"{100 * level:.4g}%"


def _spell(row: Any) -> str:
    corrected = f"[{row['low_all']:+.3f}, {row['high_all']:+.3f}]"
    return f"DiffROAR {row['mean']:+.3f}, 95 % interval for all levels at once {corrected}, at {_percent(row['level'])}"


def _detectable(rows: pd.DataFrame) -> str:
    smallest, largest = rows["detectable"].min(), rows["detectable"].max()
    if smallest > 1:  # no difference of accuracies is
        return "its seeds differ too much for this run to have detected any difference; use more seeds"
    return f"this run could have detected {smallest:.3f} to {largest:.3f}" + (" (above 1: none)" if largest > 1 else "")


def _columns(found: Interval) -> dict[str, float]:
    return {name: getattr(found, name) for name in ("mean", "low", "high", "low_all", "high_all", "detectable")}
