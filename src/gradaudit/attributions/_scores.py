"""Scores from outside, checked before anything rests on them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gradaudit.errors import InputError, require
from gradaudit.images import ImageSet


def check_precomputed(scores: np.ndarray, images: ImageSet) -> None:
    """Read all scores once, and check that there is one finite score for each coordinate or pixel of each image.

    Raises:
        InputError: another shape; NaN or infinite scores, with their number and the first image that has one.
    """
    shape = (len(images), *images.shape)
    expected = f"scores of shape {shape}, or {(len(images), *images.shape[1:])} for pixels"
    require(scores.shape in (shape, (shape[0], *shape[2:])), "attribution", scores, expected)
    bad, first = 0, None
    for start in range(0, len(scores), 1024):
        finite = torch.isfinite(_single(scores[start : start + 1024])).flatten(1)
        found = int((~finite).sum())
        if found and first is None:
            first = start + int((~finite.all(1)).nonzero()[0])
        bad += found
    require(not bad, "attribution", scores, f"finite: {bad:,} scores are NaN or infinite, the first in image {first}")


def read_precomputed(scores: np.ndarray, which: slice, images: ImageSet) -> Tensor:
    """The scores of the chosen images, float32 (n, C, H, W); pixel scores count for every channel."""
    return _over_channels(_single(scores[which]), images.shape[0])


def checked(scores: object, name: str, images: Tensor, start: int) -> Tensor:
    """What a function returned for a batch of images, as float32 (n, C, H, W) on their device.

    Args:
        scores: what it returned; (n, C, H, W), or (n, H, W) for pixels.
        name: of the attribution, for errors.
        images: the batch, floats (n, C, H, W).
        start: the number of the batch's first image.

    Raises:
        InputError: no tensor, another shape, a dtype that is not real, or a NaN or infinite score.
    """
    if isinstance(scores, np.ndarray) and scores.dtype.kind in "fiu":
        scores = _single(scores)
    if not isinstance(scores, Tensor):
        raise InputError("attribution", name, f"a function that returns a tensor of scores, not {_kind(scores)}")
    real = not scores.is_complex() and scores.dtype != torch.bool
    require(real, "attribution", name, f"a function that returns real numbers, not {scores.dtype}")
    shape = tuple(images.shape)
    expected = f"a function that returns scores of shape {shape}, or {(shape[0], *shape[2:])} for pixels, not {tuple(scores.shape)}"
    require(tuple(scores.shape) in (shape, (shape[0], *shape[2:])), "attribution", name, expected)
    scores = scores.detach().to(images.device, torch.float32)
    bad = ~torch.isfinite(scores).flatten(1)
    if bad.any():
        first = start + int(bad.any(1).nonzero()[0])
        raise InputError(
            "attribution", name, f"finite: {int(bad.sum()):,} scores of this batch are NaN or infinite, the first in image {first}"
        )
    return _over_channels(scores, shape[1])


def _over_channels(scores: Tensor, channels: int) -> Tensor:
    return scores if scores.ndim == 4 else scores[:, None].expand(-1, channels, -1, -1)


def _single(scores: np.ndarray) -> Tensor:
    with np.errstate(over="ignore"):  # what overflows becomes infinite, and is then reported as such
        return torch.from_numpy(np.array(scores, dtype=np.float32))


def _kind(value: object) -> str:
    return f"{type(value).__name__} of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
