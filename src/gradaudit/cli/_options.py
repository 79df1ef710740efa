"""Options that several commands share, and how their text is read."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradaudit.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from gradaudit.images import ImageSet

Data = Annotated[
    str,
    typer.Argument(
        help="A data set's name (see `gradaudit data`), a folder of class folders, of idx or of CIFAR files, or an `.npz` file."
    ),
]
Folder = Annotated[Path | None, typer.Option("--data-dir", help="Where the data sets' files lie; `$GRADAUDIT_DATA` unless given.")]
Audited = Annotated[
    str,
    typer.Argument(
        help="A file of `gradaudit train`, `zoo:mnist/robust`, a network's name or `timm:NAME` or `torchvision:NAME` with "
        "`--weights`, `transformers:FOLDER`, or `package.module:model`."
    ),
]
Weights = Annotated[Path | None, typer.Option(help="Checkpoint for a named network or your own: .pt, .pth, .ckpt, .safetensors.")]
AllowPickle = Annotated[bool, typer.Option("--allow-pickle", help="Unpickle a checkpoint that needs it. It may run code!")]
TrainImages = Annotated[int | None, typer.Option(help="Use that many training images, drawn stratified by `--seed`.")]
TestImages = Annotated[int | None, typer.Option(help="Use that many test images, drawn stratified by `--seed`.")]
Device = Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda`, `cuda:1`, ...")]
Memory = Annotated[
    str | None,
    typer.Option(
        help="What a batch may take, such as `512MB` or `1.5GB`; it changes no result beyond rounding.",
        show_default="$GRADAUDIT_MEMORY, or 512 MiB on a CPU",
    ),
]
Workers = Annotated[str, typer.Option(help="Fits at once, one thread each; `auto` for one a core.")]
Backend = Annotated[str, typer.Option(help="Where fits run: `local`, or a cluster: `ray`, `ray(cpus=1, gpus=0.25)`.")]
Address = Annotated[
    str | None,
    typer.Option(help="The cluster's: `auto`, `host:port` or `ray://host:port`.", show_default="$RAY_ADDRESS, or Ray starts here"),
]
Seed = Annotated[int, typer.Option(help="Every random draw comes from it.")]
StoreFolder = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="Where finished work is kept: a folder, or a URL such as `s3://bucket/folder`.",
        show_default="$GRADAUDIT_STORE or the cache",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output, and nothing else there.")]
Epochs = Annotated[int, typer.Option(help="Passes over the training images.")]
Normalisation = Annotated[
    str | None,
    typer.Option(help="What the network expects: `none`, `mnist`, `cifar10`, `imagenet`, or `mean,.../std,...`; it is put inside."),
]


class OnError(StrEnum):
    """What becomes of image files that can't be taken."""

    raises = "raise"
    skip = "skip"


OnImageError = Annotated[
    OnError, typer.Option("--on-error", help="Of image files that can't be taken: `raise` names them all, `skip` leaves them out.")
]

command_line: list[str] = []
"""The arguments of the running command, for the page that says how it was made."""


def images(
    name: str,
    folder: Path | None,
    seed: int,
    train_images: int | None,
    test_images: int | None,
    on_error: OnError = OnError.raises,
) -> tuple[ImageSet, ImageSet]:
    from gradaudit.datasets import load_images

    training, testing = load_images(name, folder=folder, seed=seed, on_error=on_error.value)
    training = training if train_images is None else training.sample(train_images, seed)
    return training, testing if test_images is None else testing.sample(test_images, seed)


def load_audited(name: str, weights: Path | None, like: ImageSet, normalisation: str | None, allow_pickle: bool) -> nn.Module:
    """The classifier to audit on images like these."""
    from gradaudit.classifiers import load_classifier

    return load_classifier(
        name,
        weights,
        input_shape=like.shape,
        classes=len(like.classes),
        normalisation=normalisation,
        allow_pickle=allow_pickle,
    )


def workers_of(text: str) -> Any:
    """The number of workers, or the text itself where it is no number: the instrument knows what else may be said."""
    try:
        return int(text)
    except ValueError:
        return text


def memory_of(text: str | None) -> int | None:
    """The bytes that a batch may take; None where nobody says."""
    from gradaudit.memory import memory_bytes

    return None if text is None else memory_bytes("--memory", text)


def backend_of(text: str, address: str | None) -> Any:
    """The backend's spec, with the cluster's address where one is given."""
    from gradaudit.registry import parse_spec

    spec = parse_spec("--backend", text)
    return spec if address is None else replace(spec, options={**spec.options, "address": address})


def trained_file(out: Path) -> Path:
    """Where the checkpoint of a training is kept whose outcome will be written to `out`, a `.safetensors` file.

    Raises:
        InputError: it can't be.
    """
    from gradaudit.files import check_writable

    if out.suffix != ".safetensors":
        raise InputError("--out", str(out), "a file that ends in .safetensors")
    check_writable("--out", out.parent)
    return out.with_suffix(".checkpoint")
