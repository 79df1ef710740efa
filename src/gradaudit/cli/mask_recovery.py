"""`gradaudit mask-recovery`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from gradaudit.cli._old_output import console, deliver, print_verdict
from gradaudit.cli._options import (
    Address,
    AllowPickle,
    AsJson,
    Audited,
    Backend,
    Data,
    Device,
    Features,
    Folder,
    Normalisation,
    OnError,
    OnImageError,
    RankingTarget,
    Seed,
    StoreFolder,
    TestImages,
    TrainImages,
    Weights,
    Workers,
    backend_of,
    images,
    load_audited,
    numbers,
    workers_of,
)

if TYPE_CHECKING:
    from gradaudit.instruments.mask_recovery import MaskRecoveryResult


def mask_recovery(
    classifier: Audited,
    data: Data,
    weights: Weights = None,
    normalisation: Normalisation = None,
    allow_pickle: AllowPickle = False,
    attribution: Annotated[str, typer.Option(help="An attribution's spec; see `gradaudit attributions`.")] = "logit_gradient",
    fills: Annotated[
        str,
        typer.Option(
            help="`zero`, `mean`, `noise`, `blur(sigma=2)`, `imputation(noise=0.01)`, `generative(denoiser='zoo:mnist')` or "
            "`package.module:function`, separated by commas."
        ),
    ] = "zero,mean,noise,blur,imputation",
    levels: Annotated[str, typer.Option(help="Shares of the features that are kept.")] = "0.1",
    sides: Annotated[str, typer.Option(help="Which are kept: the highest-ranked, the lowest-ranked.")] = "top,bottom",
    target: Annotated[
        RankingTarget, typer.Option(help="Attribute the label, the predicted class, one drawn at random, or all.")
    ] = RankingTarget.label,
    features: Annotated[Features, typer.Option(help="Rank pixels over channels, or coordinates.")] = Features.pixels,
    learner: Annotated[str, typer.Option(help="Network that learns labels from masks; see `gradaudit networks`.")] = "mlp",
    epochs: Annotated[int, typer.Option(help="Passes over the training images of the network that recovers masks.")] = 4,
    seeds: Annotated[int, typer.Option(help="Independent seeds; intervals need at least 2.")] = 2,
    train_images: TrainImages = None,
    test_images: TestImages = None,
    data_dir: Folder = None,
    on_error: OnImageError = OnError.raises,
    out: Annotated[Path, typer.Option(help="Folder for results.json, table, figure and page.")] = Path("out"),
    store: StoreFolder = None,
    workers: Workers = "auto",
    backend: Backend = "local",
    address: Address = None,
    device: Device = "auto",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Does a fill hide which features were kept, or can a network see the mask and read the label from it?

    A run that is stopped continues where it was when the same command is given again.

    Example: `gradaudit mask-recovery zoo:mnist/standard mnist5k --fills zero,mean,imputation --levels 0.02,0.1`
    """
    from gradaudit.files import check_writable
    from gradaudit.instruments.mask_recovery import mask_recovery as instrument

    check_writable("--out", out)
    shares = numbers("--levels", levels)
    training, testing = images(data, data_dir, seed, train_images, test_images, on_error)
    audited = load_audited(classifier, weights, training, normalisation, allow_pickle)
    start = time.perf_counter()
    result = instrument(
        audited,
        training,
        testing,
        attribution,
        fills=_specs(fills),
        levels=shares,
        sides=[side.strip() for side in sides.split(",")],
        target=target.value,
        features=features.value,
        learner=learner,
        epochs=epochs,
        seeds=seeds,
        seed=seed,
        store=store,
        workers=workers_of(workers),
        backend=backend_of(backend, address),
        device=device,
        show_progress=True,
    )
    deliver(
        result,
        classifier,
        out,
        print_mask_recovery,
        title=f"Do fills hide which features of {classifier} were kept?",
        seconds=time.perf_counter() - start,
        as_json=as_json,
    )


def print_mask_recovery(result: MaskRecoveryResult, title: str) -> None:
    """Print the table, and the verdict of each fill."""
    table = Table(title=f"Mask recovery, {escape(title)}")
    for column in ("fill", "level", "side", "measure", "value", "95 % interval", "if hidden", "if seen"):
        table.add_column(column, justify="left" if column in ("fill", "side", "measure") else "right")
    for row in result.table.to_dict("records"):
        interval = f"[{row['low']:.3f}, {row['high']:.3f}]" if row["low"] == row["low"] else "one seed"
        ends = (f"{row[name]:.3f}" for name in ("hidden", "seen"))
        level = f"{100 * row['level']:.4g}%"
        table.add_row(escape(row["fill"]), level, row["side"], row["measure"], f"{row['value']:.3f}", interval, *ends)
    console().print(table)
    for name, verdict in result.verdicts.items():
        print_verdict(verdict, name)


def _specs(text: str) -> list[str]:
    """The specs in a list, whose commas inside brackets belong to a spec."""
    found, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            found.append("")
        else:
            found[-1] += letter
    return [one.strip() for one in found]
