"""`gradaudit robustness`."""

from __future__ import annotations

import time
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
    Norm,
    Normalisation,
    OnError,
    OnImageError,
    Seed,
    StoreFolder,
    TestImages,
    Weights,
    images,
    load_audited,
    radii,
)
from gradaudit.errors import require

if TYPE_CHECKING:
    from gradaudit.instruments.robustness import RobustnessResult


def robustness(
    classifier: Audited,
    data: Data,
    weights: Weights = None,
    normalisation: Normalisation = None,
    allow_pickle: AllowPickle = False,
    norm: Annotated[Norm, typer.Option(help="What the attacks' radius is.")] = Norm.linf,
    eps: Annotated[
        str, typer.Option(help="Radii, ascending; pixel values are in [0, 1], and fractions will do: 2/255.")
    ] = "0,0.1,0.3",
    attack: Annotated[
        list[str] | None,
        typer.Option(
            help="`pgd`, `autoattack`, `smoothing(sigma=0.25)`, `gaussian`, `package.module:function`; may be repeated.",
            show_default="pgd",
        ),
    ] = None,
    steps: Annotated[int, typer.Option(help="Gradient steps of PGD.")] = 20,
    step_size: Annotated[float | None, typer.Option(help="Length of a step.", show_default="2.5 * eps / steps")] = None,
    restarts: Annotated[int, typer.Option(help="Independent starts of PGD; the worst is kept for each image.")] = 1,
    eot: Annotated[int, typer.Option(help="Passes that gradients are averaged over, for a randomised classifier.")] = 1,
    test_images: TestImages = None,
    first: Annotated[
        bool, typer.Option("--first", help="Take the first of the test images in their order rather than a stratified draw.")
    ] = False,
    data_dir: Folder = None,
    on_error: OnImageError = OnError.raises,
    out: Annotated[Path, typer.Option(help="Folder for results.json, table, figure and page.")] = Path("out"),
    store: StoreFolder = None,
    device: Device = "auto",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """How large a perturbation does the classifier withstand? By attacks, by certificates and on average, with intervals.

    A run that is stopped continues where it was when the same command is given again.

    Example: `gradaudit robustness robust.safetensors mnist5k --eps 0,0.1,0.3 --attack pgd --attack autoattack --restarts 5`
    """
    from gradaudit.files import check_writable
    from gradaudit.instruments import robustness as instrument

    check_writable("--out", out)
    sizes = radii(eps)
    _, testing = images(data, data_dir, seed, None, None if first else test_images, on_error)
    if first and test_images is not None:
        require(1 <= test_images <= len(testing), "--test-images", test_images, f"from 1 to {len(testing)}, the number of images")
        testing = testing[:test_images]
    audited = load_audited(classifier, weights, testing, normalisation, allow_pickle)
    start = time.perf_counter()
    result = instrument.robustness(
        audited,
        testing,
        norm=norm.value,
        eps=sizes,
        attack=list(attack or ["pgd"]),
        steps=steps,
        step_size=step_size,
        restarts=restarts,
        eot=eot,
        seed=seed,
        device=device,
        store=store,
        show_progress=True,
    )
    seconds = time.perf_counter() - start
    title = f"How large a perturbation does {classifier} withstand?"
    deliver(result, classifier, out, print_robustness, title=title, seconds=seconds, as_json=as_json)


def print_robustness(result: RobustnessResult, title: str) -> None:
    """Print the table and the verdict."""
    table = Table(title=f"Robustness, {escape(title)}")
    for column in ("attack", "norm", "eps", "accuracy", "95 % interval"):
        table.add_column(column, justify="left" if column in ("attack", "norm") else "right")
    for row in result.table.to_dict("records"):
        interval = f"[{row['low']:.3f}, {row['high']:.3f}]"
        table.add_row(escape(row["attack"]), row["norm"], f"{row['eps']:.4g}", f"{row['accuracy']:.3f}", interval)
    console().print(table)
    print_verdict(result.verdict)
