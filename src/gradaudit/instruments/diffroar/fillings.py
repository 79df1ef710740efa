"""Fillings: images whose removed features are filled once and kept in the store, where the fill is too costly for every batch."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gradaudit.devices import one_thread
from gradaudit.files import map_array, whole_array
from gradaudit.instruments.diffroar.cells import VERSIONS, Cell, Split, unmasking
from gradaudit.training.store import Store, key_of

AT_ONCE = 2**18  # features that are filled at once


@dataclass(frozen=True)
class Filling:
    """One set of images to be filled, once for all the learners that see it.

    Args:
        cell: which features are kept, and the fill.
        split: the images and their ranking.
        data: the fingerprints of both.
        device: where the fill is computed.
    """

    cell: Cell
    split: Split
    data: tuple[str, ...]
    device: torch.device

    @property
    def description(self) -> dict[str, Any]:
        """The store's key."""
        return {
            "what": "fillings",
            "data": list(self.data),
            "device": self.device.type,
            **self.cell.unmasked(),
            **VERSIONS,
        }

    @property
    def key(self) -> str:
        """Two fillings with this in common are the same."""
        return key_of(self.description)

    def path(self, store: Store) -> Path:
        """Where the filled images lie, or would lie: uint8 (N, C, H, W)."""
        return store.path(self.description, ".npy")

    def read(self, store: Store) -> Split | None:
        """The images as they are filled in the store, or None where they are not; damaged ones count as none, with a warning."""
        path = store.fetch(self.path(store))
        try:
            return Split(map_array(path), self.split.labels, self.split.ranks, filled=True)
        except FileNotFoundError:
            return None
        except (OSError, EOFError, ValueError) as error:
            warnings.warn(f"ignoring damaged images in the store, {path}: {error}", stacklevel=2)
            return None


@torch.no_grad()
def make_filling(filling: Filling, store: Store) -> None:
    """Fill the images and keep them in the store, whole or not at all; kept features have their very values.

    Raises:
        StoreError: the disk has too little room, or can't be written.
    """
    images = filling.split.images
    draw = unmasking(filling.cell, filling.split, filling.device)
    path = filling.path(store)
    with one_thread(), whole_array(path, images.shape, np.dtype(np.uint8)) as filled:
        for indices in chunks(len(images), int(np.prod(images.shape[1:]))):
            seen, _ = draw(indices)
            filled[indices.numpy()] = seen.mul_(255).round_().to("cpu", torch.uint8).numpy()
    store.publish(path)


def chunks(count: int, features: int) -> Sequence[torch.Tensor]:
    """The indices of `count` images in the batches in which they are filled."""
    return torch.split(torch.arange(count), max(1, AT_ONCE // features))
