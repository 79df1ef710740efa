"""Trained denoisers: from a recipe and images to a denoiser."""

from __future__ import annotations

import os
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any

import torch

from gradaudit.batching import evaluating
from gradaudit.devices import resolve_device, resolve_precision, seeded
from gradaudit.diffusion.denoiser import Denoiser
from gradaudit.diffusion.recipe import DenoiserRecipe
from gradaudit.diffusion.sheets import sample_sheet
from gradaudit.files import writable_folder
from gradaudit.images import ImageSet
from gradaudit.progress import progress
from gradaudit.results import versions
from gradaudit.training import Epoch
from gradaudit.training.checkpoint import Checkpoint, keeping
from gradaudit.training.fitting import fit
from gradaudit.training.run import TrainingRun
from gradaudit.training.trained import draw_from


def train_denoiser(
    recipe: DenoiserRecipe,
    images: ImageSet,
    *,
    device: str | torch.device = "auto",
    show_progress: bool = False,
    sheets: str | os.PathLike[str] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 60.0,
) -> Denoiser:
    """A denoiser trained by the recipe on the images and their classes, in evaluation mode, on `device`.

    Without labels it gives the unconditional mean: a share of the labels is dropped in training.

    Args:
        recipe: what to train, and how.
        images: the training images.
        device: `"auto"`, or a torch device.
        show_progress: print steps, loss and time left to standard error.
        sheets: a folder for a sheet of samples after each epoch, `epoch-001.png`, ..., a row a class.
        on_epoch: called with the `Epoch` (number, loss, no accuracy) after each; also for those before an interruption.
        checkpoint: a file that ends in `.checkpoint`, or a folder: where the training's state is kept after each epoch, and within
            one every `checkpoint_seconds`. Where it is there, the training goes on from it, and the denoiser is the same, bit for
            bit, as if it had never stopped.
        checkpoint_seconds: least time between two checkpoints within an epoch.

    Raises:
        InputError: the network can't take these images, a folder can't be written, the device is not there, or the checkpoint is
            another training's.
        TrainingError: the loss is no longer finite.
        StoreError: a checkpoint or a sheet can't be written.
    """
    device = resolve_device(device)
    folder = None if sheets is None else writable_folder("sheets", sheets)
    file = None if checkpoint is None else Checkpoint(checkpoint, _deciding(recipe, images, device))
    saved = file.load() if file else None
    epochs = [Epoch(*values) for values in saved["epochs"]] if saved else []
    for epoch in epochs if on_epoch else ():
        on_epoch(epoch)  # type: ignore[misc]
    steps = ceil(len(images) / recipe.batch_size)
    keep = keeping(file, epochs, checkpoint_seconds)
    with seeded(recipe.seed, device), progress("training a denoiser", recipe.epochs * steps, show_progress) as advance:
        model = recipe.build(images.shape, len(images.classes)).to(device)
        denoiser = Denoiser(model, shape=images.shape, classes=len(images.classes))
        advance(saved["step"] if saved else 0)

        def after_epoch(number: int, loss: float) -> None:
            epochs.append(Epoch(number, loss, None))
            if folder:
                _draw_sheet(folder / f"epoch-{number:03d}.png", denoiser)
            if on_epoch:
                on_epoch(epochs[-1])

        def after_step(run: TrainingRun) -> None:
            keep(run)
            advance(1, f"loss {epochs[-1].loss:.4f}" if epochs else "")

        fit(
            model,
            draw_from(images, device),
            len(images),
            recipe.fitting(),
            device=device,
            after_epoch=after_epoch,
            start=saved,
            after_step=after_step,
        )
    denoiser.description = _description(recipe, images, epochs)
    return denoiser.eval()


def _draw_sheet(path: Path, denoiser: Denoiser) -> None:
    with evaluating(denoiser):
        sample_sheet(path, denoiser)


def _deciding(recipe: DenoiserRecipe, images: ImageSet, device: torch.device) -> dict[str, Any]:
    precision = resolve_precision(recipe.precision, device)
    return {"recipe": recipe.model_dump(), "images": images.fingerprint, "device": device.type, "precision": precision}


def _description(recipe: DenoiserRecipe, images: ImageSet, epochs: list[Epoch]) -> dict[str, object]:
    return {
        "recipe": recipe.model_dump(),
        "data_fingerprint": images.fingerprint,
        "class_names": list(images.classes),
        "losses": [epoch.loss for epoch in epochs],
        "versions": versions(),
    }
