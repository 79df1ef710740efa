"""`gradaudit train-autoencoder`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradaudit.cli._options import Data, Epochs, trained_file
from gradaudit.cli._words import DEVICE, IMAGES, JSON, SEED, TRAIN_IMAGES, images_told, told

if TYPE_CHECKING:
    from torch import Tensor

    from gradaudit.diffusion.autoencoder import Autoencoder
    from gradaudit.images import ImageSet

AT_ONCE = 256


@told(TRAIN_IMAGES, *IMAGES, DEVICE, SEED, JSON)
def train_autoencoder(
    data: Data,
    out: Annotated[
        Path, typer.Option(help="The autoencoder's file, `.safetensors`; it carries recipe, data fingerprint, figures.")
    ],
    latent: Annotated[int, typer.Option(help="Numbers that an image is reduced to: the dimension of its tangent spaces.")] = 128,
    width: Annotated[int, typer.Option(help="Channels at half the resolution.")] = 32,
    epochs: Epochs = 20,
    **words: Any,
) -> None:
    """Train an autoencoder, whose decoder gives tangent spaces, and write it to one file.

    A training that was stopped goes on where it was when the same command is given again: its state is kept beside `--out`, in a
    file that ends in `.checkpoint`, until the autoencoder is written.

    Example: `gradaudit train-autoencoder mnist --latent 32 --epochs 3 --out autoencoder.safetensors`
    """
    from gradaudit.diffusion.autoencoder import save_autoencoder
    from gradaudit.diffusion.autoencoder import train_autoencoder as train
    from gradaudit.training import draw_curves
    from gradaudit.training.curves import Epoch

    checkpoint = trained_file(out)
    training, testing = images_told(data, words)
    done: list[Epoch] = []
    start = time.perf_counter()
    autoencoder = train(
        training,
        latent=latent,
        width=width,
        epochs=epochs,
        seed=words["seed"],
        device=words["device"],
        checkpoint=checkpoint,
        on_epoch=done.append,
        show_progress=True,
    )
    seconds = time.perf_counter() - start
    measured = _measured(autoencoder, training, testing)
    autoencoder.description["measured"] = measured
    save_autoencoder(out, autoencoder)
    curves = draw_curves(out.with_suffix(".svg"), done, f"autoencoder of {data}")
    checkpoint.unlink(missing_ok=True)
    if words["as_json"]:
        facts = {"file": str(out), "curves": str(curves), "loss": done[-1].loss, "seconds": round(seconds, 1)}
        print(json.dumps(facts | measured | {"recipe": autoencoder.description["recipe"]}))
        return
    print(f"{out}: training loss {done[-1].loss:.4f}, trained in {seconds:.0f} s; curves: {curves}")
    error, mean = measured["reconstruction_error"], measured["mean_image_error"]
    told = f"mean squared error a pixel {error:.3g}, of the mean image {mean:.3g}"
    print(f"{measured['test_images']:,} held-out images: {told}; pixel values are in [0, 1]")


def _measured(autoencoder: Autoencoder, training: ImageSet, testing: ImageSet) -> dict[str, float]:
    """The mean squared error a pixel of held-out images, reconstructed and, instead, each taken for the mean training image."""
    import torch

    place = next(autoencoder.parameters()).device
    total = sum(part.sum(dim=0, dtype=torch.int64) for part in torch.split(training.images, AT_ONCE))
    mean = torch.as_tensor(total, device=place).double() / (255 * len(training))

    def error(guess: Tensor, truth: Tensor) -> float:
        return float((guess - truth).double().square().mean(dim=(1, 2, 3)).sum()) / len(testing)

    reconstructed = spread = 0.0
    with torch.no_grad():
        for start in range(0, len(testing), AT_ONCE):
            held_out = testing.floats(slice(start, start + AT_ONCE), place)
            reconstructed += error(autoencoder(held_out), held_out)
            spread += error(mean, held_out)
    return {"reconstruction_error": reconstructed, "mean_image_error": spread, "test_images": len(testing)}
