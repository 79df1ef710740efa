"""Autoencoders: the data manifold as the image of a decoder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradaudit.classifiers.build import read_input_shape
from gradaudit.classifiers.checkpoints import mismatch, read_checkpoint, require_finite
from gradaudit.devices import resolve_device
from gradaudit.errors import InputError, require, require_whole
from gradaudit.files import whole_file
from gradaudit.images import ImageSet
from gradaudit.registry import Spec
from gradaudit.results import versions
from gradaudit.training import Epoch, Recipe, train

FORMAT = "gradaudit-autoencoder"


class Autoencoder(nn.Module):
    """An encoder to a small latent and a decoder back, both convolutional and smooth (SiLU), so that the decoder has a Jacobian.

    Args:
        shape: (C, H, W) of an image in [0, 1]; H and W divisible by 4.
        latent: numbers that an image is reduced to, fewer than it has pixels.
        width: channels at half the resolution; twice as many at a quarter.

    Raises:
        InputError: an argument out of its range.
    """

    def __init__(self, shape: tuple[int, int, int], *, latent: int = 128, width: int = 32) -> None:
        super().__init__()
        channels, height, wide = read_input_shape(shape)
        whole = height % 4 == 0 and wide % 4 == 0
        require(whole, "shape", tuple(shape), "(C, H, W) with a height and width that 4 divides")
        pixels = channels * height * wide
        _check_count("latent", latent, pixels)
        _check_count("width", width, 2**16)
        self.shape = (channels, height, wide)
        self.latent = latent
        self.width = width
        self.description: dict[str, Any] = {}
        small = (2 * width, height // 4, wide // 4)
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(small[0] * small[1] * small[2], latent),
        )
        # Shuffled pixels rather than transposed convolutions: all work is done at low resolution, which its Jacobian multiplies.
        self.decoder = nn.Sequential(
            nn.Linear(latent, small[0] * small[1] * small[2]),
            nn.SiLU(),
            nn.Unflatten(1, small),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(2 * width, 4 * width, 3, padding=1),
            nn.PixelShuffle(2),
            nn.SiLU(),
            nn.Conv2d(width, 4 * channels, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def encode(self, images: Tensor) -> Tensor:
        """The latents (N, latent) of images (N, C, H, W) in [0, 1].

        Raises:
            InputError: images of another shape.
        """
        fits = isinstance(images, Tensor) and images.ndim == 4 and tuple(images.shape[1:]) == self.shape
        require(fits, "images", images, f"(N, {', '.join(map(str, self.shape))}), the autoencoder's images")
        latents: Tensor = self.encoder(images)
        return latents

    def forward(self, images: Tensor) -> Tensor:
        """The reconstructions, of the images' shape (N, C, H, W), not clamped to [0, 1]."""
        reconstructed: Tensor = self.decoder(self.encode(images))
        return reconstructed

    def extra_repr(self) -> str:
        """What it was made with."""
        return f"shape={self.shape}, latent={self.latent}, width={self.width}"


def autoencoder(input_shape: tuple[int, int, int], classes: int, *, latent: int = 128, width: int = 32) -> Autoencoder:
    """A new autoencoder, in the form in which a recipe builds networks; there are no classes in it."""
    return Autoencoder(input_shape, latent=latent, width=width)


def reconstruction(classifier: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """The mean squared error of the reconstructed pixels, in the form in which a recipe names objectives; labels play no part."""
    return F.mse_loss(classifier(images), images)


def train_autoencoder(
    images: ImageSet,
    *,
    latent: int = 128,
    width: int = 32,
    epochs: int = 20,
    batch_size: int = 128,
    learning_rate: float = 2e-3,
    seed: int = 0,
    device: str | torch.device = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    show_progress: bool = False,
) -> Autoencoder:
    """An autoencoder trained to reconstruct the images in mean squared error (AdamW, one cycle), in evaluation mode, on `device`.

    Args:
        images: the training images, height and width divisible by 4; their labels play no part.
        latent: numbers that an image is reduced to, the dimension of its tangent spaces (128 in the paper, on CIFAR-10).
        width: channels at half the resolution.
        epochs: passes over the images.
        batch_size: images a step.
        learning_rate: peak of the one-cycle schedule.
        seed: of initial weights and batch order.
        device: `"auto"`, or a torch device.
        checkpoint: a file that ends in `.checkpoint`, or a folder: where the training's state is kept, and from where it goes on.
        on_epoch: called with the `Epoch` (number, loss) after each.
        show_progress: print epochs, loss and time left to standard error.

    Raises:
        InputError: an argument out of its range, or the checkpoint is another training's.
        TrainingError: the loss is no longer finite.
        StoreError: a checkpoint can't be written.

    Source: Srinivas et al. (2023) take tangent spaces from an autoencoder's decoder.
    """
    require(isinstance(images, ImageSet), "images", type(images).__name__, "an ImageSet; load_images makes one")
    Autoencoder(images.shape, latent=latent, width=width)  # refuses what can't be built before anything is written
    recipe = Recipe(
        network=Spec(f"{__name__}:autoencoder", {"latent": latent, "width": width}),
        objective=f"{__name__}:reconstruction",
        optimizer="adamw",
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=0.0,
        seed=seed,
    )
    # Pixels alone decide the training, also in the checkpoint; a recipe wants two classes.
    pixels = ImageSet(images.images, torch.zeros(len(images), dtype=torch.int64), ("image", "no image"))
    curve: list[Epoch] = []

    def note(epoch: Epoch) -> None:
        curve.append(epoch)
        if on_epoch:
            on_epoch(epoch)

    trained = train(recipe, pixels, device=device, show_progress=show_progress, on_epoch=note, checkpoint=checkpoint)
    assert isinstance(trained, Autoencoder)
    trained.description = {
        "recipe": recipe.model_dump(),
        "data_fingerprint": images.fingerprint,
        "loss": [epoch.loss for epoch in curve],
        "versions": versions(),
    }
    # Channels last was for training's speed; so it gives what it will give when loaded, bit for bit.
    return trained.to(memory_format=torch.contiguous_format)  # type: ignore[no-any-return, call-overload]


def save_autoencoder(path: str | os.PathLike[str], autoencoder: Autoencoder) -> Path:
    """Write the autoencoder to a `.safetensors` file that `load_autoencoder(path)` reads alone; return the path.

    Args:
        path: ends in `.safetensors`; written whole or not at all.
        autoencoder: with its `description`: recipe, data fingerprint, loss by epoch, versions.

    Raises:
        InputError: not an autoencoder, not finite, or another file name.
        StoreError: the file can't be written.
    """
    from safetensors.torch import save

    require(isinstance(autoencoder, Autoencoder), "autoencoder", type(autoencoder).__name__, "an Autoencoder")
    require(Path(path).suffix == ".safetensors", "path", str(path), "a file name that ends in .safetensors")
    tensors = {name: value.detach().cpu().contiguous() for name, value in autoencoder.state_dict().items()}
    require_finite(tensors, "autoencoder", "Autoencoder")
    about = {
        "shape": autoencoder.shape,
        "latent": autoencoder.latent,
        "width": autoencoder.width,
        "description": autoencoder.description,
    }
    with whole_file(path) as file:
        file.write(save(tensors, {"format": FORMAT, "autoencoder": json.dumps(about, sort_keys=True, allow_nan=False)}))
    return Path(path)


def load_autoencoder(path: str | os.PathLike[str], *, device: str | torch.device = "cpu") -> Autoencoder:
    """The autoencoder that `save_autoencoder` wrote, in evaluation mode, on `device`.

    Raises:
        InputError: there is no such file, it is damaged, or is no autoencoder's.
    """
    place = resolve_device(device)
    about = _about(path)
    weights = read_checkpoint(path, argument="path")
    assert isinstance(weights, dict)
    try:
        found = Autoencoder(tuple(about["shape"]), latent=about["latent"], width=about["width"])
        found.description = dict(about["description"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("path", str(path), f"a file that save_autoencoder wrote ({type(error).__name__}: {error})") from error
    problem = mismatch(weights, found.state_dict())
    require(not problem, "path", str(path), f"an undamaged autoencoder's: {problem}")
    require_finite(weights, "path", str(path))
    found.load_state_dict(weights)
    return found.to(place).eval()


def _about(path: str | os.PathLike[str]) -> Mapping[str, Any]:
    from safetensors import SafetensorError, safe_open

    require(Path(path).is_file(), "path", str(path), "a file that exists")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        require(metadata.get("format") == FORMAT, "path", str(path), "an autoencoder's file, as save_autoencoder writes it")
        about = json.loads(metadata["autoencoder"])
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise InputError("path", str(path), f"a readable .safetensors file of an autoencoder ({error})") from error
    require(isinstance(about, dict), "path", str(path), "an autoencoder's file, as save_autoencoder writes it")
    return dict(about)


def _check_count(argument: str, value: Any, limit: int) -> None:
    require_whole(argument, value, 1, limit - 1)
