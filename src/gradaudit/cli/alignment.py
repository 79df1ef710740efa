"""`gradaudit alignment`."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    Target,
    TestImages,
    Weights,
    images,
    load_audited,
    numbers,
)

if TYPE_CHECKING:
    from gradaudit.instruments.alignment import AlignmentResult


class Noise(StrEnum):
    """Where gradients and scores are taken."""

    none = "none"
    matched = "matched"


def alignment(
    classifier: Audited,
    data: Data,
    denoiser: Annotated[
        str,
        typer.Option(help="`zoo:NAME`, a `.safetensors` file, a diffusers folder, a checkpoint, or `package.module:name`."),
    ],
    weights: Weights = None,
    normalisation: Normalisation = None,
    allow_pickle: AllowPickle = False,
    sigma: Annotated[
        str, typer.Option(help="Standard deviations of the score's noise, ascending; pixel values are in [0, 1].")
    ] = "0.25",
    similarity: Annotated[
        list[str] | None,
        typer.Option(
            help="`cosine`, `absolute_cosine`, `rank_correlation`, `ssim`, `lpips`, `features(network='FILE')`, "
            "`package.module:function`; may be repeated.",
            show_default="cosine",
        ),
    ] = None,
    gradient: Annotated[
        list[str] | None,
        typer.Option(
            help="`logit`, `logit_sum`, `log_probability`, `package.module:function`; may be repeated.", show_default="logit"
        ),
    ] = None,
    score: Annotated[
        list[str] | None,
        typer.Option(
            help="`conditional`, `unconditional`, `bayes`, `package.module:function`; may be repeated.",
            show_default="conditional where the denoiser knows classes",
        ),
    ] = None,
    noise: Annotated[
        Noise, typer.Option(help="Take both at the image itself (`none`), or at the image plus the score's noise (`matched`).")
    ] = Noise.none,
    target: Annotated[Target, typer.Option(help="The class of gradients and scores.")] = Target.label,
    test_images: TestImages = None,
    data_dir: Folder = None,
    on_error: OnImageError = OnError.raises,
    out: Annotated[Path, typer.Option(help="Folder for results.json, table, figure and page.")] = Path("out"),
    device: Device = "auto",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Do gradients point along the data manifold, as a denoiser's score does? With intervals, and beside controls.

    Example: `gradaudit alignment robust.safetensors mnist5k --denoiser zoo:mnist --sigma 0.1,0.25,0.5`
    """
    from gradaudit.diffusion.load import load_denoiser
    from gradaudit.files import check_writable
    from gradaudit.instruments import alignment as instrument

    check_writable("--out", out)
    sigmas = numbers("--sigma", sigma)
    _, testing = images(data, data_dir, seed, None, test_images, on_error)
    audited = load_audited(classifier, weights, testing, normalisation, allow_pickle)
    source = load_denoiser(denoiser, allow_pickle=allow_pickle)
    start = time.perf_counter()
    result = instrument.alignment(
        audited,
        testing,
        source,
        sigma=sigmas,
        similarity=list(similarity or ["cosine"]),
        gradient=list(gradient or ["logit"]),
        score=list(score) if score else "auto",
        noise=noise.value,
        target=target.value,
        seed=seed,
        device=device,
        show_progress=True,
    )
    seconds = time.perf_counter() - start
    title = f"Do the gradients of {classifier} point along the data manifold?"
    deliver(result, classifier, out, print_alignment, title=title, seconds=seconds, as_json=as_json)


def print_alignment(result: AlignmentResult, title: str) -> None:
    """Print the table and the verdict."""
    table = Table(title=f"Alignment, {escape(title)}")
    for column in ("gradient", "score", "sigma", "similarity", "value", "95 % interval"):
        table.add_column(column, justify="right" if column in ("sigma", "value", "95 % interval") else "left")
    for row in result.table.to_dict("records"):
        interval = f"[{row['low']:.3f}, {row['high']:.3f}]"
        names = (escape(row["gradient"]), escape(row["score"]), f"{row['sigma']:.4g}", escape(row["similarity"]))
        table.add_row(*names, f"{row['value']:.3f}", escape(interval))
    console().print(table)
    print_verdict(result.verdict)
