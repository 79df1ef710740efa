"""`gradaudit train-denoiser`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from gradaudit.cli._options import Data, trained_file
from gradaudit.cli._words import DEVICE, IMAGES, JSON, SEED, TRAIN_IMAGES, fields_given, images_told, recipe_words, told
from gradaudit.errors import require
from gradaudit.recipe_fields import DenoiserFields

MEASURED = 1000  # test images, on which the denoising error is measured


@told(*recipe_words(DenoiserFields, "seed"), TRAIN_IMAGES, *IMAGES, DEVICE, SEED, JSON)
def train_denoiser(
    data: Data,
    out: Annotated[Path, typer.Option(help="The denoiser's file, `.safetensors`; it carries recipe, data fingerprint, figures.")],
    recipe: Annotated[str, typer.Option(help="`mnist`, `fashion-mnist` or `cifar10`; other options override it.")] = "mnist",
    sheets: Annotated[Path | None, typer.Option(help="Folder for a sheet of samples after each epoch.")] = None,
    **words: Any,
) -> None:
    """Train a denoiser by recipe and write it to one file, fp16.

    A training that was stopped goes on where it was when the same command is given again: its state is kept beside `--out`, in a
    file that ends in `.checkpoint`, until the denoiser is written.

    Example: `gradaudit train-denoiser mnist --recipe mnist --epochs 16 --out denoiser.safetensors --sheets sheets/`
    """
    from gradaudit.diffusion.evaluation import denoising_error
    from gradaudit.diffusion.recipe import denoiser_recipe
    from gradaudit.diffusion.trained import save_denoiser
    from gradaudit.diffusion.training import train_denoiser as train
    from gradaudit.training import draw_curves
    from gradaudit.training.curves import Epoch

    chosen = denoiser_recipe(recipe, **fields_given(DenoiserFields, words))
    checkpoint = trained_file(out)
    training, testing = images_told(data, words)
    require(len(testing) >= 2, "--test-images", len(testing), "2 or more: the denoising error has an error of its own")
    held_out = testing[:MEASURED]
    done: list[Epoch] = []
    start = time.perf_counter()
    denoiser = train(
        chosen, training, device=words["device"], show_progress=True, sheets=sheets, on_epoch=done.append, checkpoint=checkpoint
    )
    seconds = time.perf_counter() - start
    table = denoising_error(denoiser, held_out, device=words["device"])
    save_denoiser(out, denoiser, measured={"denoising_error": table.to_dict(orient="records"), "test_images": len(held_out)})
    curves = draw_curves(out.with_suffix(".svg"), done, f"denoiser of {data}")
    checkpoint.unlink(missing_ok=True)
    facts = {"file": str(out), "curves": str(curves), "loss": done[-1].loss, "seconds": round(seconds, 1)}
    if words["as_json"]:
        print(json.dumps(facts | {"recipe": chosen.model_dump(), "denoising_error": table.to_dict(orient="records")}))
    else:
        print(f"{out}: training loss {done[-1].loss:.4f}, trained in {seconds:.0f} s; curves: {curves}")
        print(table.to_string(index=False, float_format="{:.3g}".format))
