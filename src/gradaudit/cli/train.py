"""`gradaudit train`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradaudit.cli._options import (
    AsJson,
    Data,
    Device,
    Folder,
    OnError,
    OnImageError,
    Seed,
    TestImages,
    TrainImages,
    images,
    trained_file,
)

if TYPE_CHECKING:
    from gradaudit.training import Recipe

NETWORK = "lenet5"


def train(
    data: Data,
    out: Annotated[
        Path, typer.Option(help="The classifier's file, `.safetensors`; it carries recipe, data fingerprint, accuracy, curves.")
    ],
    recipe: Annotated[
        str | None, typer.Option(help="A recipe's name, such as `mnist/l2-2`; see `gradaudit recipes`. Other options override it.")
    ] = None,
    network: Annotated[
        str | None, typer.Option(help=f"A network's spec: `mlp(width=256)`; see `gradaudit networks`. Without a recipe, {NETWORK}.")
    ] = None,
    normalisation: Annotated[
        str | None,
        typer.Option(help="What the network expects: `none`, `mnist`, `cifar10`, `imagenet`, or `mean,.../std,...`; put inside."),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(help="`standard`, `adversarial(norm=l2, eps=2.0)`, ...; see `gradaudit objectives`."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="`sgd`, `adamw` or `muon`.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak of the one-cycle schedule.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="L2 penalty on the weights.")] = None,
    ramp: Annotated[
        float | None, typer.Option(help="Share of the training in which the objective's strength rises from zero.")
    ] = None,
    augment: Annotated[str | None, typer.Option(help="`none`, `flip` or `crop-flip`.")] = None,
    ema: Annotated[float | None, typer.Option(help="Decay of the weights' moving average; 0 for none.")] = None,
    precision: Annotated[str | None, typer.Option(help="`auto`, `fp32` or `bf16`.")] = None,
    curves: Annotated[
        Path | None,
        typer.Option(help="Picture of the learning curves, `.svg`, `.png` or `.pdf`; `.svg` beside `--out` unless given."),
    ] = None,
    tensorboard: Annotated[Path | None, typer.Option(help="Folder for TensorBoard's logs.")] = None,
    train_images: TrainImages = None,
    test_images: TestImages = None,
    data_dir: Folder = None,
    on_error: OnImageError = OnError.raises,
    device: Device = "auto",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Train a classifier by name and write it to one file that `gradaudit diffroar` takes.

    A training that was stopped goes on where it was when the same command is given again: its state is kept beside `--out`, in a
    file that ends in `.checkpoint`, until the classifier is written.

    Example: `gradaudit train mnist --recipe mnist/l2-2 --epochs 3 --out robust.safetensors`

    Example: `gradaudit train mnist5k --network mlp --objective "adversarial(norm=l2, eps=2.0)" --out robust.safetensors`
    """
    from gradaudit.training import draw_curves, save_trained
    from gradaudit.training import train as train_classifier
    from gradaudit.training.curves import Epoch, check_picture

    fields = {
        "network": network,
        "normalisation": normalisation,
        "objective": objective,
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "ramp": ramp,
        "augment": augment,
        "ema": ema,
        "precision": precision,
        "seed": seed,
    }
    chosen = _recipe(recipe, {name: value for name, value in fields.items() if value is not None})
    checkpoint = trained_file(out)
    picture = out.with_suffix(".svg") if curves is None else curves
    check_picture("--curves", picture)
    training, testing = images(data, data_dir, seed, train_images, test_images, on_error)
    done: list[Epoch] = []
    start = time.perf_counter()
    classifier = train_classifier(
        chosen,
        training,
        device=device,
        show_progress=True,
        test=testing,
        on_epoch=done.append,
        checkpoint=checkpoint,
        tensorboard=tensorboard,
    )
    seconds = time.perf_counter() - start
    share = done[-1].accuracy
    save_trained(out, classifier, chosen, training, accuracy=share, epochs=done)
    draw_curves(picture, done, f"{recipe or chosen.network} on {data}")
    checkpoint.unlink(missing_ok=True)
    facts = {"file": str(out), "curves": str(picture), "accuracy": share, "test_images": len(testing), "seconds": round(seconds, 1)}
    if as_json:
        print(json.dumps(facts | {"recipe": chosen.model_dump()}))
    else:
        print(f"{out}: test accuracy {share:.4f} on {len(testing):,} images, trained in {seconds:.0f} s; curves: {picture}")


def _recipe(name: str | None, fields: dict[str, Any]) -> Recipe:
    from gradaudit.training import Recipe, named_recipe

    return Recipe(**({"network": NETWORK} | fields)) if name is None else named_recipe(name, **fields)
