"""Classifiers that are trained once, and found in the store from then on."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import torch
from torch import nn

from gradaudit.classifiers import load_classifier
from gradaudit.devices import one_thread, resolve_device
from gradaudit.errors import InputError
from gradaudit.images import ImageSet
from gradaudit.results import versions
from gradaudit.training.checkpoint import SUFFIX
from gradaudit.training.recipe import Recipe
from gradaudit.training.store import Store, as_store
from gradaudit.training.trained import save_trained, train


def train_once(
    recipe: Recipe,
    images: ImageSet,
    *,
    store: Store | str | os.PathLike[str] | None = None,
    device: str | torch.device = "auto",
    show_progress: bool = False,
) -> nn.Module:
    """The classifier that the recipe makes of the images, from the store or by training it, on one thread of a CPU.

    A training that is stopped leaves its checkpoint in the store, and the next call goes on from it.

    Args:
        recipe: what to train, and how.
        images: the training images.
        store: a Store, its folder or its URL; the user's own unless given.
        device: `"auto"`, or a torch device.
        show_progress: print progress to standard error.

    Raises:
        InputError, TrainingError, StoreError: as `train`.
    """
    place = resolve_device(device)
    kept = as_store(store)
    file = kept_classifier(recipe, images, kept, place)
    if file.exists():
        try:
            return load_classifier(file, device=place)
        except InputError as error:
            warnings.warn(f"ignoring a damaged entry of the store: {error}", stacklevel=2)
    checkpoint = file.with_suffix(SUFFIX)
    with one_thread():
        classifier = train(recipe, images, device=place, checkpoint=checkpoint, show_progress=show_progress)
    save_trained(file, classifier, recipe, images)
    kept.publish(file)
    checkpoint.unlink(missing_ok=True)
    return load_classifier(file, device=place)


def kept_classifier(recipe: Recipe, images: ImageSet, store: Store, device: torch.device) -> Path:
    """The file in the store where `train_once` looks for the classifier; it exists if that was trained."""
    description = {
        "what": "classifiers",
        "recipe": recipe.key(device),
        "images": images.fingerprint,
        "device": device.type,
        "versions": versions(),
    }
    return store.fetch(store.path(description, ".safetensors"))
