"""How far a set of counterfactuals is from a set of real images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from gradaudit.errors import MissingExtraError, require, require_whole
from gradaudit.instruments.counterfactual.lacking import LackingError
from gradaudit.instruments.counterfactual.measures._features import penultimate
from gradaudit.instruments.counterfactual.measures._frechet import frechet
from gradaudit.instruments.counterfactual.measures._inception import inception_features

Z = 1.959964  # of a two-sided 95 % normal interval
Distance = Callable[[Tensor, Tensor], Tensor]


def realism(
    before: Tensor,
    after: Tensor,
    reference: Tensor | None = None,
    *,
    networks: dict[str, nn.Module] | None = None,
    originals: Sequence[int] | None = None,
    resamples: int = 100,
    seed: int = 0,
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Fréchet distances of counterfactuals from real images, a row a measure, and the reasons by name for those skipped.

    `fid` compares the counterfactuals with `reference`. `sfid` splits the images in two halves at random and compares the
    counterfactuals of each half with the originals of the other, so that an image that hardly changed gains nothing by it; the
    mean of both. They are in Inception's features, where torchmetrics' weights are on this machine; `frechet_<network>` and
    `split_frechet_<network>` are the same in the penultimate features of a classifier, and comparable with no published FID.
    The distance grows as images get fewer: compare only sets of one size. The interval is the value and 1.96 bootstrap
    deviations to each side, 0 at the least; it holds the spread of the images drawn, not that bias.

    Sources: Heusel et al. (2017; FID); Jeanneret, Simon and Jurie (2023), Adversarial Counterfactual Visual
    Explanations (sFID).

    Args:
        before: floats (N, C, H, W) in [0, 1], 4 or more images.
        after: their counterfactuals, of the same shape.
        reference: real images of the target classes, floats (M, C, H, W), 2 or more; `before` unless given.
        networks: classifiers by name, each ending in a linear layer.
        originals: the number of the original of each row, where one has several counterfactuals: all of its rows are in one half,
            and are drawn together; every row is of its own original unless given.
        resamples: of the bootstrap over images, 2 or more.
        seed: of the halves and the bootstrap.

    Returns:
        A table with the columns `measure, value, low, high, images`, and the skipped.

    Raises:
        InputError: too few images, or shapes that do not go together.
    """
    require(len(before) >= 4, "before", len(before), "at least 4 images")
    require(after.shape == before.shape, "after", after, f"of shape {tuple(before.shape)}, one for each image before")
    real = before if reference is None else reference
    fits = real.ndim == 4 and real.shape[1:] == before.shape[1:] and len(real) >= 2
    require(fits, "reference", real, f"at least 2 images, (M, {', '.join(map(str, before.shape[1:]))})")
    require_whole("resamples", resamples, 2)
    named = list(range(len(before))) if originals is None else list(originals)
    require(len(named) == len(before), "originals", len(named), f"{len(before)} numbers, one for each image before")
    groups = [torch.tensor([place for place, one in enumerate(named) if one == image]) for image in dict.fromkeys(named)]
    require(len(groups) >= 4, "originals", len(groups), "at least 4 images")
    rows: list[dict[str, Any]] = []
    skipped: dict[str, str] = {}
    try:
        rows += _rows("fid", "sfid", [inception_features(images) for images in (before, after, real)], groups, resamples, seed)
    except (LackingError, MissingExtraError) as reason:
        skipped["fid"] = str(reason)
    for name, network in (networks or {}).items():
        features = [penultimate(network, images) for images in (before, after, real)]
        rows += _rows(f"frechet_{name}", f"split_frechet_{name}", features, groups, resamples, seed)
    return pd.DataFrame(rows, columns=["measure", "value", "low", "high", "images"]), skipped


def _rows(
    plain: str, split: str, features: list[Tensor], groups: Sequence[Tensor], resamples: int, seed: int
) -> list[dict[str, Any]]:
    before, after, real = (one.cpu() for one in features)
    rng = np.random.default_rng(seed)
    halves = np.array_split(rng.permutation(len(groups)), 2)
    values = [_both(before, after, real, [_joined(groups, half) for half in halves])]
    for _ in range(resamples):
        again = real[_drawn(rng, len(real))]
        values.append(_both(before, after, again, [_joined(groups, half[_drawn(rng, len(half))]) for half in halves]))
    found, *drawn = np.array(values)
    spread = Z * np.std(drawn, axis=0, ddof=1)
    low, high = np.maximum(found - spread, 0), found + spread
    return [
        {"measure": name, "value": float(found[at]), "low": float(low[at]), "high": float(high[at]), "images": len(groups)}
        for at, name in enumerate((plain, split))
    ]


def _both(before: Tensor, after: Tensor, real: Tensor, halves: Sequence[Tensor]) -> tuple[float, float]:
    """The distance and the split one, of the rows of the two halves."""
    first, second = halves
    plain = frechet(real, after[torch.cat([first, second])])
    across = frechet(before[second], after[first]) + frechet(before[first], after[second])
    return float(plain), float(across) / 2


def _joined(groups: Sequence[Tensor], chosen: np.ndarray) -> Tensor:
    """The rows of the chosen groups."""
    return torch.cat([groups[one] for one in chosen])


def _drawn(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.integers(count, size=count)
