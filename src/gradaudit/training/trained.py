"""Trained classifiers: from a recipe and images to a classifier, its accuracy and its file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gradaudit.batching import evaluating, forward_size, placed
from gradaudit.classifiers import save_classifier, with_logits
from gradaudit.devices import resolve_device, seeded
from gradaudit.images import ImageSet, floats_at
from gradaudit.progress import progress
from gradaudit.results import versions
from gradaudit.training.checkpoint import Checkpoint, keeping
from gradaudit.training.curves import Epoch
from gradaudit.training.fitting import Draw, accuracy, fit
from gradaudit.training.recipe import Recipe
from gradaudit.training.tensorboard import tensorboard_log

AT_ONCE = 512  # images at most, whose accuracy is measured


def draw_from(images: ImageSet, device: torch.device) -> Draw:
    """Batches of a set whose pixels lie on `device` as uint8 and become floats batch by batch."""
    pixels, labels = images.images.to(device), images.labels.to(device)

    def draw(indices: Tensor) -> tuple[Tensor, Tensor]:
        indices = indices.to(device)
        return floats_at(pixels, indices), labels[indices]

    return draw


def train(
    recipe: Recipe,
    images: ImageSet,
    *,
    device: str | torch.device = "auto",
    show_progress: bool = False,
    test: ImageSet | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 60.0,
    tensorboard: str | os.PathLike[str] | None = None,
) -> nn.Module:
    """A classifier trained by the recipe, in evaluation mode, on `device`.

    Args:
        recipe: what to train, and how.
        images: the training images.
        device: `"auto"`, or a torch device.
        show_progress: print epochs, loss and time left to standard error.
        test: images on which the accuracy is measured after each epoch.
        on_epoch: called with the `Epoch` (number, loss, accuracy) after each; also for those before an interruption.
        checkpoint: a file that ends in `.checkpoint`, or a folder: where the training's state is kept after each epoch, and within
            one every `checkpoint_seconds`. Where it is there, the training goes on from it, and the classifier is the same, bit
            for bit, as if it had never stopped.
        checkpoint_seconds: least time between two checkpoints within an epoch.
        tensorboard: a folder for TensorBoard's logs.

    Raises:
        InputError: the network can't take these images, the device is not there, or the checkpoint is another training's.
        TrainingError: the loss is no longer finite.
        MissingExtraError: TensorBoard is asked for, but not installed.
        StoreError: a checkpoint can't be written.
    """
    device = resolve_device(device)
    file = None if checkpoint is None else Checkpoint(checkpoint, _description(recipe, images, test, device))
    saved = file.load() if file else None
    epochs = [Epoch(*values) for values in saved["epochs"]] if saved else []
    if on_epoch:
        for epoch in epochs:
            on_epoch(epoch)
    title = f"training {recipe.network}, {recipe.objective}"
    with (
        seeded(recipe.seed, device),
        tensorboard_log(tensorboard) as log,
        progress(title, recipe.epochs, show_progress) as advance,
    ):
        classifier = recipe.build(images.shape, len(images.classes)).to(device)
        measure = None if test is None else _measuring(classifier, test, device)
        if epochs:
            advance(len(epochs))

        def after_epoch(number: int, loss: float) -> None:
            epoch = Epoch(number, loss, None if measure is None else measure())
            epochs.append(epoch)
            log(epoch)
            if on_epoch:
                on_epoch(epoch)
            advance(1, f"loss {loss:.3f}" + ("" if epoch.accuracy is None else f", accuracy {epoch.accuracy:.4f}"))

        fit(
            classifier,
            draw_from(images, device),
            len(images),
            recipe,
            device=device,
            after_epoch=after_epoch,
            start=saved,
            after_step=keeping(file, epochs, checkpoint_seconds),
        )
    return classifier.eval()


def _description(recipe: Recipe, images: ImageSet, test: ImageSet | None, device: torch.device) -> dict[str, Any]:
    return {
        "recipe": recipe.key(device),
        "images": images.fingerprint,
        "test": None if test is None else test.fingerprint,
        "device": device.type,
    }


def _measuring(classifier: nn.Module, images: ImageSet, device: torch.device) -> Callable[[], float]:
    floats, exact = draw_from(images, device), Recipe(precision="fp32")
    size = forward_size(classifier, images.floats([0], device), device=device, most=AT_ONCE)

    def draw(indices: Tensor) -> tuple[Tensor, Tensor]:
        batch, labels = floats(indices)
        return placed(classifier, batch), labels

    def measure() -> float:
        with evaluating(classifier):
            return accuracy(classifier, draw, len(images), exact, device=device, batch=size)

    return measure


def measure_accuracy(classifier: nn.Module, images: ImageSet, *, device: str | torch.device = "auto") -> float:
    """The share of the images, in [0, 1], that the classifier, in evaluation mode and full precision, gives their label.

    Args:
        classifier: images in [0, 1] to logits (N, K); it is moved to `device`, and its modes are left as they were.
        images: the images to measure on.
        device: `"auto"`, or a torch device.

    Raises:
        InputError: the device is not there.
    """
    place = resolve_device(device)
    return _measuring(with_logits(classifier.to(place), images), images, place)()


def save_trained(
    path: str | os.PathLike[str],
    classifier: nn.Module,
    recipe: Recipe,
    images: ImageSet,
    *,
    accuracy: float | None = None,
    epochs: Sequence[Epoch] = (),
) -> Path:
    """Write a classifier that `load_classifier(path)` gives back; the file carries its recipe and what it was trained on.

    Args:
        path: a `.safetensors` file; written whole or not at all.
        classifier: what `train` returned.
        recipe: the recipe that made it.
        images: the images on which it was trained; their fingerprint goes into the file.
        accuracy: its measured test accuracy, in [0, 1], if known.
        epochs: its learning curve, as `on_epoch` of `train` was told it.

    Returns:
        The path.

    Raises:
        InputError: the recipe's network is not the classifier's, or its weights are not finite.
        StoreError: the file can't be written.
    """
    metadata = {
        "recipe": recipe.model_dump(),
        "data_fingerprint": images.fingerprint,
        "accuracy": accuracy,
        "epochs": [epoch._asdict() for epoch in epochs],
        "versions": versions(),
        "class_names": list(images.classes),
    }
    return save_classifier(
        path,
        classifier,
        network=recipe.network,
        input_shape=images.shape,
        classes=len(images.classes),
        normalisation=recipe.normalisation,
        metadata=metadata,
    )
