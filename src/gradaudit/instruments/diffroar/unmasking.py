"""Unmasking: which features of an image are shown, and what stands in the place of the others, as batches are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from gradaudit.attributions import kept
from gradaudit.fills import Fill
from gradaudit.images import floats_at, ones_where
from gradaudit.training.fitting import Draw

Side = Literal["top", "bottom"]
SIDES: tuple[Side, Side] = ("top", "bottom")
Content = Literal["image", "mask", "both", "whole"]


@dataclass(frozen=True)
class Split:
    """The training or the test images with one ranking of them, as arrays that may be memory-mapped.

    Args:
        images: uint8 (N, C, H, W).
        labels: int64 (N,).
        ranks: centred ranks (N, F), over coordinates (F = C*H*W) or pixels (F = H*W); None where whole images are shown.
        data: the fingerprints of images and ranking, for the store's keys.
        filled: whether removed features are filled in these images already.
    """

    images: np.ndarray
    labels: np.ndarray
    ranks: np.ndarray | None
    data: tuple[str, ...] = ()
    filled: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def mask_channels(self) -> int:
        """Channels of a mask: one where pixels are ranked, or as many as the images have; 0 without a ranking."""
        return 0 if self.ranks is None else self.ranks.shape[1] // (self.images.shape[2] * self.images.shape[3])


@dataclass(frozen=True)
class Unmasking:
    """An unmasking scheme (Shah, Jain and Netrapalli, 2021, section 3): what is seen of images that have been ranked.

    Args:
        keep: number of features kept.
        side: the highest-ranked (`"top"`) or the lowest-ranked (`"bottom"`).
        content: what is seen: the `"image"` in which the removed features are filled; only the `"mask"` of which are kept;
            `"both"`, the mask as further channels; or the `"whole"` image.
        fill: what stands in the place of removed features; None where none is seen.
        shift: image i is given the ranking of image i + shift, cyclically; not 0 only for rankings that know no image, which are
            so drawn anew for every seed at no cost.
    """

    keep: int
    side: Side
    content: Content
    fill: Fill | None
    shift: int = 0

    def describe(self) -> dict[str, Any]:
        """What decides the filled images beside images and ranking, in the words of a key."""
        return {"keep": self.keep, "side": self.side, "shift": self.shift, "fill": self.fill.key if self.fill else ""}

    def draw(self, split: Split, device: torch.device) -> Draw:
        """Batches of what is seen, on the device; where no features come filled, no masked copy of the data set ever exists."""
        images, labels = (torch.from_numpy(array).to(device) for array in (split.images, split.labels))
        if split.ranks is None:
            return lambda indices: (floats_at(images, indices.to(device)), labels[indices.to(device)])
        ranks, size = torch.from_numpy(split.ranks).to(device), (split.mask_channels, *images.shape[2:])

        def drawn(indices: Tensor) -> tuple[Tensor, Tensor]:
            indices = indices.to(device)
            ranking = ranks.index_select(0, (indices + self.shift) % len(ranks) if self.shift else indices)
            mask = kept(ranking, self.keep, self.side).view(-1, *size)
            if self.content == "mask":
                return ones_where(mask).expand(-1, *images.shape[1:]).contiguous(), labels[indices]
            pixels = floats_at(images, indices)
            if not split.filled:
                assert self.fill is not None  # nothing is shown of what is removed
                pixels = self.fill(pixels, mask)
            return (torch.cat([pixels, ones_where(mask)], dim=1) if self.content == "both" else pixels), labels[indices]

        return drawn
