"""`gradaudit diffroar`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from gradaudit.cli._options import (
    Address,
    AllowPickle,
    AsJson,
    Audited,
    Backend,
    BatchSize,
    Data,
    Device,
    Evaluate,
    Features,
    Folder,
    LearnerEpochs,
    LearningRate,
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
    specs,
    workers_of,
)
from gradaudit.cli._output import console, deliver, pictured, print_verdict

if TYPE_CHECKING:
    from gradaudit.instruments.diffroar import DiffROARResult


def diffroar(
    classifier: Audited,
    data: Data,
    weights: Weights = None,
    normalisation: Normalisation = None,
    allow_pickle: AllowPickle = False,
    attribution: Annotated[
        list[str] | None,
        typer.Option(help="An attribution's spec; may be repeated. See `gradaudit attributions`.", show_default="logit_gradient"),
    ] = None,
    scores: Annotated[
        tuple[Path, Path] | None, typer.Option(help="Two `.npy` files with scores computed elsewhere: of training and test images.")
    ] = None,
    evaluate: Annotated[
        Evaluate, typer.Option(help="Read the kept pixels' values by one evaluator, or retrain learners on them as in 2021.")
    ] = Evaluate.values,
    evaluator: Annotated[
        str,
        typer.Option(
            help="A recipe's name or a network that reads kept pixels; `classifier` fine-tunes a copy of the audited one."
        ),
    ] = "evaluators/convnet",
    fine_tune: Annotated[str, typer.Option(help="The recipe by which that copy is trained.")] = "evaluators/fine-tune",
    gap: Annotated[int, typer.Option(help="Evaluators that are compared with networks of a single kind of mask; 0 for none.")] = 1,
    selection: Annotated[
        bool, typer.Option("--selection", help="Also fit learners of mask and pixels: what does the choice of pixels tell?")
    ] = False,
    learner: Annotated[
        str | None,
        typer.Option(
            help="A recipe's name, or the network that is retrained: see `gradaudit recipes` and `gradaudit networks`.",
            show_default="learners/fast-convnet",
        ),
    ] = None,
    epochs: LearnerEpochs = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    levels: Annotated[str, typer.Option(help="Shares of the features that are kept.")] = "0.05,0.1,0.2,0.4",
    seeds: Annotated[
        int | None, typer.Option(help="Independent seeds; intervals need at least 2.", show_default="3, or 5 to retrain")
    ] = None,
    controls: Annotated[
        str, typer.Option(help="Controls beside, such as `edges,untrained`, or `none`.")
    ] = "random,blurred_random,edges",
    features: Annotated[Features, typer.Option(help="Rank coordinates, or pixels over channels.")] = Features.coordinates,
    target: Annotated[
        RankingTarget, typer.Option(help="Attribute the label, the predicted class, one drawn at random, or all.")
    ] = RankingTarget.label,
    fill: Annotated[
        str | None,
        typer.Option(
            help="What replaces removed features: `zero`, `mean`, `noise`, `blur(sigma=2)`, `imputation`, ...",
            show_default="mean, or zero to retrain",
        ),
    ] = None,
    mask_only: Annotated[bool, typer.Option(help="To retrain: also fit learners that see only which features were kept.")] = True,
    conditional: Annotated[
        bool | None,
        typer.Option(
            help="To retrain: also fit learners of features and mask: what do pixels tell given the mask?",
            show_default="as mask-only",
        ),
    ] = None,
    train_images: TrainImages = None,
    test_images: TestImages = None,
    data_dir: Folder = None,
    on_error: OnImageError = OnError.raises,
    out: Annotated[Path, typer.Option(help="Folder for results.json, table, figure and page.")] = Path("out"),
    store: StoreFolder = None,
    workers: Workers = "auto",
    together: Annotated[
        str, typer.Option(help="How fits train side by side: `auto`, `one_by_one`, `stacked`, `graphed` or `streams`.")
    ] = "auto",
    at_once: Annotated[str, typer.Option(help="Fits that train side by side: a number, or `auto` for as many as pay.")] = "auto",
    backend: Backend = "local",
    address: Address = None,
    device: Device = "auto",
    seed: Seed = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many networks would be trained, and how long it takes.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Top- against bottom-ranked features: do those that are ranked high tell more of the label?

    A run that is stopped continues where it was when the same command is given again.

    Example: `gradaudit diffroar robust.safetensors mnist5k --attribution logit_gradient --attribution "smoothgrad(samples=50)"`
    """
    from gradaudit.evaluator import evaluator_recipe
    from gradaudit.files import check_writable
    from gradaudit.instruments.diffroar import prepare_diffroar
    from gradaudit.training.learners import read_learner

    check_writable("--out", out)
    fields = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
    given = {name: value for name, value in fields.items() if value is not None}
    fits = evaluate is Evaluate.retrain or selection
    recipe = read_learner(learner or "learners/fast-convnet", **given) if fits else learner
    own = evaluator == "classifier"
    reader: Any = evaluator_recipe("evaluator", evaluator, **given) if given and not (fits or own) else evaluator
    shares = numbers("--levels", levels)
    training, testing = images(data, data_dir, seed, train_images, test_images, on_error)
    audited = load_audited(classifier, weights, training, normalisation, allow_pickle)
    attributions: list[Any] = list(attribution or ([] if scores else ["logit_gradient"]))
    grid = prepare_diffroar(
        audited,
        training,
        testing,
        attributions + ([{"scores": scores}] if scores else []),
        evaluate=evaluate.value,
        evaluator=audited if own else reader,
        fine_tune=evaluator_recipe("fine_tune", fine_tune, **given) if given and own and not fits else fine_tune,
        gap=gap,
        selection=selection,
        learner=recipe,
        levels=shares,
        seeds=seeds,
        controls=specs(controls),
        features=features.value,
        target=target.value,
        fill=fill,
        mask_only=mask_only,
        conditional=conditional,
        seed=seed,
        store=store,
        workers=workers_of(workers),
        together=together,
        at_once=workers_of(at_once),
        backend=backend_of(backend, address),
        device=device,
        show_progress=True,
    )
    if dry_run:
        print(grid.plan())
        return
    start = time.perf_counter()
    result = grid.run()
    seconds = time.perf_counter() - start
    shown = attributions[0] if attributions else scores[1] if scores else "logit_gradient"
    deliver(
        result,
        classifier,
        out,
        print_diffroar,
        title=f"Can the gradients of {classifier} be trusted?",
        seconds=seconds,
        as_json=as_json,
        pictures=partial(pictured, result, classifier, audited, testing, shown),
    )


def print_diffroar(result: DiffROARResult, title: str) -> None:
    """Print the summary table, and the verdicts of each audited attribution."""
    console().print(_values_table(result, title) if result.of_values else _table(result, title))
    for name, verdict in result.verdicts.items():
        print_verdict(verdict, name)
        if name in result.conditional_verdicts:
            print_verdict(result.conditional_verdicts[name], f"{name}, given the mask,")


def _values_table(result: DiffROARResult, title: str) -> Table:
    table = Table(title=f"DiffROAR of values, {escape(title)}")
    selected = "selection_top_mean" in result.summary
    heads = ("top, bits", "bottom, bits", *(("selection, top", "selection, bottom") if selected else ()), "top", "bottom")
    for column in ("attribution", "level", "values, bits", "95 % interval", *heads):
        table.add_column(column, justify="left" if column == "attribution" else "right")
    sides = ("top", "bottom")
    for row in result.summary.to_dict("records"):
        bits = [f"{row[f'values_{side}_mean']:+.3f}" for side in sides]
        chosen = [f"{row[f'selection_{side}_mean']:+.3f}" for side in sides] if selected else []
        cells = (*_measured(row, "values_"), *bits, *chosen, *(_number(row[side]) for side in sides))
        table.add_row(escape(row["attribution"]), f"{100 * row['level']:.4g}%", *cells)
    return table


def _table(result: DiffROARResult, title: str) -> Table:
    table = Table(title=f"DiffROAR, {escape(title)}")
    given = ("given mask, bits", "95 % interval") if result.conditional_verdicts else ()
    accuracies = ("top", "bottom", "mask_top", "mask_bottom")
    heads = ("top", "bottom", "mask top", "mask bottom")
    for column in ("attribution", "level", "DiffROAR", "95 % interval", "detectable", *given, *heads):
        table.add_column(column, justify="left" if column == "attribution" else "right")
    for row in result.summary.to_dict("records"):
        cells = [*_measured(row, ""), _number(row["detectable"]), *(_measured(row, "conditional_") if given else ())]
        level = f"{100 * row['level']:.4g}%"
        table.add_row(escape(row["attribution"]), level, *cells, *(_number(row[name]) for name in accuracies))
    return table


def _measured(row: Mapping[Any, Any], prefix: str) -> tuple[str, str]:
    low, high = row[f"{prefix}low"], row[f"{prefix}high"]
    return f"{row[f'{prefix}mean']:+.3f}", f"[{low:+.3f}, {high:+.3f}]" if row["seeds"] > 1 else "one seed"


def _number(value: float) -> str:
    return f"{value:.3f}" if value == value else "-"
