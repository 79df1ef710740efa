"""Images whose removed features are filled once and kept in the store, where the fill is too costly for every batch."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gradaudit.devices import one_thread
from gradaudit.evaluator.training import VERSIONS
from gradaudit.files import map_array, whole_array
from gradaudit.instruments.diffroar.unmasking import Split, Unmasking
from gradaudit.training.store import Store, key_of

AT_ONCE = 2**18  # features that are filled at once


@dataclass(frozen=True)
class FilledImages:
    """One set of images to be filled, once for all the learners that see it.

    Args:
        unmasking: which features are kept, and the fill; its content is `"image"`.
        split: the images and their ranking.
        device: where the fill is computed.
    """

    unmasking: Unmasking
    split: Split
    device: torch.device

    @property
    def description(self) -> dict[str, Any]:
        """The store's key."""
        decided = {"data": list(self.split.data), "device": self.device.type, **self.unmasking.describe()}
        return {"what": "fillings", **decided, **VERSIONS}

    @property
    def key(self) -> str:
        """Two with this in common are the same."""
        return key_of(self.description)

    def path(self, store: Store) -> Path:
        """Where the filled images lie, or would lie: uint8 (N, C, H, W)."""
        return store.path(self.description, ".npy")

    def read(self, store: Store) -> Split | None:
        """The images as they are filled in the store, or None where they are not; damaged ones count as none, with a warning."""
        path = store.fetch(self.path(store))
        try:
            return replace(self.split, images=map_array(path), filled=True)
        except FileNotFoundError:
            return None
        except (OSError, EOFError, ValueError) as error:
            warnings.warn(f"ignoring damaged images in the store, {path}: {error}", stacklevel=2)
            return None


@torch.no_grad()
def fill_images(wanted: FilledImages, store: Store) -> None:
    """Fill the images and keep them in the store, whole or not at all; kept features have their very values.

    Raises:
        StoreError: the disk has too little room, or can't be written.
    """
    images = wanted.split.images
    draw = wanted.unmasking.draw(wanted.split, wanted.device)
    path = wanted.path(store)
    with one_thread(), whole_array(path, images.shape, np.dtype(np.uint8)) as filled:
        for indices in chunks(images):
            seen, _ = draw(indices)
            filled[indices.numpy()] = seen.mul_(255).round_().to("cpu", torch.uint8).numpy()
    store.publish(path)


def chunks(images: np.ndarray) -> Sequence[torch.Tensor]:
    """The indices of images (N, C, H, W) in the batches in which they are filled."""
    return torch.split(torch.arange(len(images)), max(1, AT_ONCE // int(np.prod(images.shape[1:]))))
