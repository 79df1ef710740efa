"""`gradaudit train`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from gradaudit.cli._options import (
    AsJson,
    BatchSize,
    Data,
    Device,
    Epochs,
    Folder,
    LearningRate,
    Normalisation,
    Seed,
    TestImages,
    TrainImages,
    images,
)
from gradaudit.errors import InputError


def train(
    data: Data,
    out: Annotated[
        Path, typer.Option(help="The classifier's file, `.safetensors`; it carries recipe, data fingerprint, accuracy.")
    ],
    network: Annotated[
        str, typer.Option(help="A network's spec: `lenet5`, `mlp(width=256)`; see `gradaudit networks`.")
    ] = "lenet5",
    normalisation: Normalisation = None,
    objective: Annotated[str, typer.Option(help="`standard`, or `adversarial(norm=l2, eps=2.0)`.")] = "standard",
    epochs: Epochs = 5,
    batch_size: BatchSize = 128,
    learning_rate: LearningRate = 0.1,
    weight_decay: Annotated[float, typer.Option(help="L2 penalty on the weights.")] = 5e-4,
    train_images: TrainImages = None,
    test_images: TestImages = None,
    data_dir: Folder = None,
    device: Device = "auto",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Train a classifier by name and write it to one file that `gradaudit diffroar` takes.

    Example: `gradaudit train mnist5k --network mlp --objective "adversarial(norm=l2, eps=2.0)" --out robust.safetensors`
    """
    from gradaudit.files import check_writable
    from gradaudit.training import Recipe, measure_accuracy, save_trained
    from gradaudit.training import train as train_classifier

    recipe = Recipe(
        network=network,
        normalisation=normalisation or "none",
        objective=objective,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        seed=seed,
    )
    if out.suffix != ".safetensors":
        raise InputError("--out", str(out), "a file that ends in .safetensors")
    check_writable("--out", out.parent)
    training, testing = images(data, data_dir, seed, train_images, test_images)
    start = time.perf_counter()
    classifier = train_classifier(recipe, training, device=device, show_progress=True)
    seconds = time.perf_counter() - start
    share = measure_accuracy(classifier, testing, device=device)
    save_trained(out, classifier, recipe, training, accuracy=share)
    facts = {"file": str(out), "accuracy": share, "test_images": len(testing), "seconds": round(seconds, 1)}
    if as_json:
        print(json.dumps(facts | {"recipe": recipe.model_dump()}))
    else:
        print(f"{out}: test accuracy {share:.4f} on {len(testing):,} images, trained in {seconds:.0f} s")
