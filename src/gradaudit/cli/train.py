"""`gradaudit train`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradaudit.cli._options import Data, trained_file
from gradaudit.cli._words import DEVICE, IMAGES, JSON, SEED, TRAIN_IMAGES, fields_given, images_told, recipe_words, told
from gradaudit.recipe_fields import RecipeFields

if TYPE_CHECKING:
    from gradaudit.training import Recipe

NETWORK = "lenet5"


@told(*recipe_words(RecipeFields, "seed"), TRAIN_IMAGES, *IMAGES, DEVICE, SEED, JSON)
def train(
    data: Data,
    out: Annotated[
        Path, typer.Option(help="The classifier's file, `.safetensors`; it carries recipe, data fingerprint, accuracy, curves.")
    ],
    recipe: Annotated[
        str | None, typer.Option(help="A recipe's name, such as `mnist/l2-2`; see `gradaudit recipes`. Other options override it.")
    ] = None,
    curves: Annotated[
        Path | None,
        typer.Option(help="Picture of the learning curves, `.svg`, `.png` or `.pdf`; `.svg` beside `--out` unless given."),
    ] = None,
    tensorboard: Annotated[Path | None, typer.Option(help="Folder for TensorBoard's logs.")] = None,
    **words: Any,
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

    chosen = _recipe(recipe, fields_given(RecipeFields, words))
    checkpoint = trained_file(out)
    picture = out.with_suffix(".svg") if curves is None else curves
    check_picture("--curves", picture)
    training, testing = images_told(data, words)
    done: list[Epoch] = []
    start = time.perf_counter()
    classifier = train_classifier(
        chosen,
        training,
        device=words["device"],
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
    if words["as_json"]:
        print(json.dumps(facts | {"recipe": chosen.model_dump()}))
    else:
        print(f"{out}: test accuracy {share:.4f} on {len(testing):,} images, trained in {seconds:.0f} s; curves: {picture}")


def _recipe(name: str | None, fields: dict[str, Any]) -> Recipe:
    from gradaudit.training import Recipe, named_recipe

    return Recipe(**({"network": NETWORK} | fields)) if name is None else named_recipe(name, **fields)
