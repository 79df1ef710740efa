"""`gradaudit manifold-robustness`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from gradaudit.cli._old_output import console, deliver, print_verdict
from gradaudit.cli._options import (
    AllowPickle,
    AsJson,
    Audited,
    Data,
    Device,
    Folder,
    Normalisation,
    OnError,
    OnImageError,
    Seed,
    TestImages,
    TrainImages,
    Weights,
    images,
    load_audited,
    numbers,
)
from gradaudit.cli._tangents import tangents_source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from gradaudit.images import ImageSet
    from gradaudit.instruments.manifold_robustness import ManifoldRobustnessResult


def manifold_robustness(
    classifier: Audited,
    data: Data,
    tangents: Annotated[
        str,
        typer.Option(
            help="Where tangent spaces come from: an autoencoder's `.safetensors` file; `neighbours` among the training images, "
            'as in `neighbours(neighbours=100, dimensions=16)`; or `denoiser("zoo:mnist", sigma=0.25, dimensions=16)`.'
        ),
    ] = "neighbours",
    weights: Weights = None,
    normalisation: Normalisation = None,
    allow_pickle: AllowPickle = False,
    radius: Annotated[
        str | None,
        typer.Option(help="L2 lengths of the noise, ascending; pixel values are in [0, 1].", show_default="the paper's, to scale"),
    ] = None,
    samples: Annotated[int, typer.Option(help="Draws of noise an image.")] = 10,
    train_images: TrainImages = None,
    test_images: TestImages = None,
    data_dir: Folder = None,
    on_error: OnImageError = OnError.raises,
    out: Annotated[Path, typer.Option(help="Folder for results.json, table, figure and page.")] = Path("out"),
    device: Device = "auto",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Does the output change less under noise off the data manifold than under noise on it? With intervals.

    Example: `gradaudit manifold-robustness robust.safetensors mnist5k --tangents autoencoder.safetensors`
    """
    from gradaudit.files import check_writable
    from gradaudit.instruments.manifold_robustness import manifold_robustness as measure

    check_writable("--out", out)
    radii = None if radius is None else numbers("--radius", radius)
    training, testing = images(data, data_dir, seed, train_images, test_images, on_error)
    bases = _bases(tangents, training, testing, seed, device, allow_pickle)
    audited = load_audited(classifier, weights, testing, normalisation, allow_pickle)
    start = time.perf_counter()
    result = measure(audited, testing, bases, radius=radii, samples=samples, seed=seed, device=device, show_progress=True)
    result = _with_tangents(result, tangents)
    seconds = time.perf_counter() - start
    title = f"Does {classifier} react to what no image shows?"
    deliver(result, classifier, out, print_manifold_robustness, title=title, seconds=seconds, as_json=as_json)


def print_manifold_robustness(result: ManifoldRobustnessResult, title: str) -> None:
    """Print the table, the ratios and the verdict."""
    table = Table(title=f"Manifold robustness, {escape(title)}")
    for column in ("radius", "change on", "95 % interval", "change off", "95 % interval", "on / off", "95 % interval"):
        table.add_column(column, justify="right")
    for ratio in result.ratios().to_dict("records"):
        rows = result.table[result.table["radius"] == ratio["radius"]].to_dict("records")  # on, then off
        cells = [cell for row in rows for cell in (f"{row['change']:.4f}", _interval(row, 4))]
        table.add_row(f"{ratio['radius']:.4g}", *cells, f"{ratio['ratio']:.3f}", _interval(ratio, 3))
    console().print(table)
    print_verdict(result.verdict)


def _interval(row: Mapping[Any, Any], digits: int) -> str:
    return f"[{row['low']:.{digits}f}, {row['high']:.{digits}f}]"


def _bases(
    text: str, training: ImageSet, testing: ImageSet, seed: int, device: str, allow_pickle: bool
) -> Callable[[Tensor], Tensor]:
    """The function from images to tangent spaces that the text names; it is tried on one image."""
    from gradaudit.diffusion.tangents import tangent_spaces

    source, options = tangents_source(text, training, allow_pickle)

    def bases(floats: Tensor) -> Tensor:
        return tangent_spaces(floats, source, seed=seed, device=device, **options)

    bases(testing.floats([0]))
    return bases


def _with_tangents(result: ManifoldRobustnessResult, text: str) -> ManifoldRobustnessResult:
    from dataclasses import replace

    return replace(result, settings=result.settings | {"tangents": text})
