"""`gradaudit counterfactual`."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from enum import StrEnum
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
    StoreFolder,
    Weights,
    images,
    load_audited,
)
from gradaudit.errors import require

if TYPE_CHECKING:
    from torch import nn

    from gradaudit.images import ImageSet
    from gradaudit.instruments.counterfactual import CounterfactualResult

REFERENCE = 1000  # training images, with which realism compares
POOL = 2000  # images, from which those are drawn that a target fits


class Split(StrEnum):
    """Which images are to change."""

    test = "test"
    train = "train"
    both = "both"


def counterfactual(
    classifier: Audited,
    data: Data,
    denoiser: Annotated[
        str | None,
        typer.Option(help="`zoo:NAME`, a `.safetensors` file, a diffusers folder, a checkpoint, or `package.module:name`."),
    ] = None,
    robust: Annotated[
        str | None, typer.Option(help="A robust classifier whose gradients help, given as the audited one may be.")
    ] = None,
    oracle: Annotated[
        list[str] | None,
        typer.Option(help="NAME=CLASSIFIER, another classifier that is asked whether it sees the target too; may be repeated."),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="`dvce`, `blended`, `svce`, `apgd`, with options as in `dvce(steps=100)`, or `package.module:function`; "
            "may be repeated.",
            show_default="dvce",
        ),
    ] = None,
    target: Annotated[
        str, typer.Option(help="`second` (most likely), `all` (others), a class, or pairs of present and wanted class: `4=9,3=8`.")
    ] = "second",
    count: Annotated[
        int, typer.Option("--images", min=1, help="Change that many, drawn stratified by `--seed` from those that the target fits.")
    ] = 16,
    split: Annotated[
        Split, typer.Option(help="The images of which half of the data; `both` for a folder of your own.")
    ] = Split.test,
    seeds: Annotated[int, typer.Option(help="Counterfactuals of each image.")] = 1,
    weights: Weights = None,
    normalisation: Normalisation = None,
    allow_pickle: AllowPickle = False,
    data_dir: Folder = None,
    on_error: OnImageError = OnError.raises,
    out: Annotated[
        Path, typer.Option(help="Folder for the images as PNG, results.json, table, gallery, animation and page.")
    ] = Path("out"),
    store: StoreFolder = None,
    device: Device = "auto",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """What would have to change in these images for another class? With images, measures, and what other classifiers say.

    A run that is stopped continues where it was when the same command is given again.

    Example: `gradaudit counterfactual zoo:mnist/standard mnist5k --denoiser zoo:mnist --robust zoo:mnist/robust --target 4=9,3=8`
    """
    from gradaudit.diffusion.load import load_denoiser
    from gradaudit.files import check_writable
    from gradaudit.instruments import counterfactual as instrument

    check_writable("--out", out)
    training, testing = images(data, data_dir, seed, None, None, on_error)
    audited = load_audited(classifier, weights, testing, normalisation, allow_pickle)
    helper = None if robust is None else load_audited(robust, None, testing, None, allow_pickle)
    oracles = {name: load_audited(one, None, testing, None, allow_pickle) for name, one in map(_named, oracle or [])}
    source = None if denoiser is None else load_denoiser(denoiser, allow_pickle=allow_pickle)
    chosen, wanted = _chosen(audited, _half(training, testing, split), target, count, seed, device)
    start = time.perf_counter()
    result = instrument.counterfactual(
        audited,
        chosen,
        wanted,
        source,
        robust=helper,
        method=list(method or ["dvce"]),
        oracles=oracles,
        reference=training.sample(min(REFERENCE, len(training)), seed),
        seed=seed,
        seeds=seeds,
        store=store,
        device=device,
        show_progress=True,
    )
    seconds = time.perf_counter() - start
    result.write_images(out / "images")
    if result.frames:
        result.animation(out / "animation.webp")
    title = f"What would change the mind of {classifier}?"
    deliver(result, classifier, out, print_counterfactual, title=title, seconds=seconds, as_json=as_json, figures="images, gallery")


def print_counterfactual(result: CounterfactualResult, title: str) -> None:
    """Print the summary, a column a method, and the verdict."""
    table = Table(title=f"Counterfactuals, {escape(title)}")
    table.add_column("mean over images, 95 % interval")
    for name in result.methods:
        table.add_column(escape(name), justify="right")
    rows = {(row["method"], row["measure"]): row for row in result.summary.to_dict("records")}
    for measure in dict.fromkeys(result.summary["measure"]):
        found = [rows.get((name, measure)) for name in result.methods]
        table.add_row(escape(measure), *("" if row is None else escape(_interval(row)) for row in found))
    console().print(table)
    print_verdict(result.verdict)


def _interval(row: Mapping[Hashable, Any]) -> str:
    if row["value"] != row["value"]:
        return "none to measure"
    ends = f" [{row['low']:.3g}, {row['high']:.3g}]" if row["low"] == row["low"] else ""
    return f"{row['value']:.3g}{ends}"


def _named(text: str) -> tuple[str, str]:
    name, _, classifier = text.partition("=")
    require(bool(name and classifier), "--oracle", text, "NAME=CLASSIFIER, such as robust=zoo:mnist/robust")
    return name, classifier


def _half(training: ImageSet, testing: ImageSet, split: Split) -> ImageSet:
    import torch

    from gradaudit.images import ImageSet

    if split is not Split.both:
        return testing if split is Split.test else training
    halves, masks = (training, testing), [one.signal_mask for one in (training, testing) if one.signal_mask is not None]
    pixels, labels = (torch.cat([getattr(one, name) for one in halves]) for name in ("images", "labels"))
    return ImageSet(pixels, labels, testing.classes, torch.cat(masks) if len(masks) == 2 else None)


def _chosen(
    classifier: nn.Module, every: ImageSet, target: str, count: int, seed: int, device: str
) -> tuple[ImageSet, str | list[int]]:
    """So many images of those that the target fits, and the target of all or of each."""
    import torch

    from gradaudit.devices import resolve_device
    from gradaudit.images import stratified
    from gradaudit.instruments.counterfactual.arguments import probabilities_of

    if target in ("second", "all") and target not in every.classes:
        return every.sample(min(count, len(every)), seed), target
    pairs = _pairs(target, every.classes)
    pool, place = every.sample(min(POOL, len(every)), seed), resolve_device(device)
    present = probabilities_of(classifier.to(place), pool, place).argmax(dim=1)
    fits = torch.isin(present, torch.tensor([*pairs])).nonzero()[:, 0]
    require(
        len(fits) > 0, "--target", target, "one that fits some images: of the class to change from, as the classifier sees them"
    )
    which = fits[stratified(present[fits], min(count, len(fits)), seed)]
    return pool[which], [pairs[one] for one in present[which].tolist()]


def _pairs(target: str, classes: Sequence[str]) -> dict[int, int]:
    """For each class to change from, the class to change to, by index."""
    expected = f"`second`, `all`, a class, or pairs such as {classes[0]}={classes[-1]}, of: {', '.join(classes[:20])}"
    if target in classes:
        return {one: classes.index(target) for one in range(len(classes)) if classes[one] != target}
    pairs = [pair.strip().partition("=") for pair in target.split(",")]
    good = all(now in classes and wanted in classes and now != wanted for now, _, wanted in pairs)
    require(good and len({now for now, *_ in pairs}) == len(pairs), "--target", target, expected)
    return {classes.index(now): classes.index(wanted) for now, _, wanted in pairs}
