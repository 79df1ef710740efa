"""What is measured of each image: where the magnitude of its attribution lies, against its signal mask.

**A map of zeros** says nothing of where. It counts as what it is worth, a map that is the same everywhere: the share of magnitude
outside the signal is that of the area, the AUROC is one half, and which features are highest is drawn at random. So every image
counts in every measure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gradaudit.attributions import Features, kept_count, magnitudes, rank


def measure(
    scores: Tensor, signal: Tensor, first: int, *, levels: Sequence[float], features: Features, seed: int
) -> dict[str, np.ndarray]:
    """Every measure of each image of a batch, arrays (n,).

    Args:
        scores: finite floats (n, C, H, W).
        signal: boolean (n, H, W), on the scores' device.
        first: place of the batch's first image in its set; ties are drawn by seed and place.
        levels: shares of the features that count as the top ones.
        features: what is ranked, as in `rank`.
        seed: of the order among equal magnitudes.

    Returns:
        `null_mass` and `null_top_<level>`, shares outside the signal; `top_hit` and `bottom_hit`, whether the highest- and the
        lowest-ranked feature lie in the signal; `auroc`; `signal_rank`, the rank of the highest feature in the signal, 1 for the
        highest of all; `nonzero`, the number of features whose magnitude is not 0.
    """
    magnitude = magnitudes(scores, features)
    inside = over_features(signal, scores.shape[1], features)
    found = {
        "null_mass": null_mass(magnitude, inside).cpu().numpy(),
        "auroc": auroc(magnitude, inside).cpu().numpy(),
        "nonzero": (magnitude > 0).sum(1).cpu().numpy(),
    }
    count = magnitude.shape[1]
    places = rank(scores.cpu(), first, seed, features).astype(np.int64) + count // 2
    return found | _ranked(places, inside.cpu().numpy(), levels)


def over_features(signal: Tensor, channels: int, features: Features) -> Tensor:
    """Boolean (n, F): whether each feature lies in the signal, from masks (n, H, W)."""
    spread = signal[:, None] if features == "pixels" else signal[:, None].expand(-1, channels, -1, -1)
    return spread.flatten(1)


def null_mass(magnitude: Tensor, inside: Tensor) -> Tensor:
    """The share (n,) of the magnitude (n, F) that lies outside the signal; the area's share where all of it is 0."""
    # In units of the largest, so that neither huge nor tiny magnitudes leave the range of their sum.
    values = magnitude.double() / magnitude.double().amax(1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    outside, total = (values * ~inside).sum(1), values.sum(1)
    return torch.where(total > 0, outside / total.clamp_min(1), (~inside).double().mean(1))


def auroc(magnitude: Tensor, inside: Tensor) -> Tensor:
    """The area under the ROC curve (n,) of magnitude (n, F) as a score for lying inside (n, F), ties half.

    The Mann-Whitney statistic: the sum of the signal's mid-ranks, less its least, over the number of pairs (Fawcett, 2006).
    """
    ordered = magnitude.sort(dim=1).values
    below, upto = (torch.searchsorted(ordered, magnitude.contiguous(), right=right) for right in (False, True))
    midranks = (below + upto + 1).double() / 2
    positives = inside.sum(1).double()
    negatives = inside.shape[1] - positives
    found: Tensor = ((midranks * inside).sum(1) - positives * (positives + 1) / 2) / (positives * negatives)
    return found


def _ranked(places: np.ndarray, inside: np.ndarray, levels: Sequence[float]) -> dict[str, np.ndarray]:
    """What the ranks alone decide; `places` (n, F) are the features' ranks, 0 for the highest."""
    count = places.shape[1]
    hits = np.empty_like(inside)
    np.put_along_axis(hits, places, inside, axis=1)  # ordered by rank: whether the r-th highest lies inside
    tops = {level: kept_count(level, count) for level in levels}
    return {
        **{null_top(level): (~hits[:, :keep]).mean(1) for level, keep in tops.items()},
        "top_hit": hits[:, 0],
        "bottom_hit": hits[:, -1],
        "signal_rank": hits.argmax(1) + 1,
    }


def null_top(level: float) -> str:
    """The name of the measure at a level, such as `null_top_0.1`."""
    return f"null_top_{level:g}"
