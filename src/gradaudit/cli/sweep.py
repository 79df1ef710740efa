"""`gradaudit sweep`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from gradaudit.cli._old_output import console, deliver, print_verdict, say
from gradaudit.cli._options import (
    Address,
    AllowPickle,
    AsJson,
    Backend,
    Data,
    Device,
    Folder,
    Norm,
    OnError,
    OnImageError,
    Seed,
    StoreFolder,
    TestImages,
    TrainImages,
    Workers,
    backend_of,
    images,
    numbers,
    radii,
    workers_of,
)
from gradaudit.cli._tangents import tangents_source
from gradaudit.errors import require

if TYPE_CHECKING:
    from gradaudit.instruments.sweep import SweepResult
    from gradaudit.training import Recipe


def sweep(
    data: Data,
    denoiser: Annotated[
        str,
        typer.Option(help="`zoo:NAME`, a `.safetensors` file, a diffusers folder, a checkpoint, or `package.module:name`."),
    ],
    tangents: Annotated[
        str,
        typer.Option(
            help="Where tangent spaces come from: an autoencoder's `.safetensors` file; `neighbours` among the training images, "
            'as in `neighbours(neighbours=100, dimensions=16)`; or `denoiser("zoo:mnist", sigma=0.25, dimensions=16)`.'
        ),
    ] = "neighbours",
    family: Annotated[
        list[str] | None,
        typer.Option(
            help="An objective, with its strengths unless it has its own: `noise`, `gradient_penalty=0.001,0.1,10`, "
            "`adversarial(steps=3)=0.5,1,2`, `package.module:objective=0.1,1`; may be repeated.",
            show_default="gradient_penalty, noise_stability, noise, adversarial",
        ),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Of the unregularised classifier (see `gradaudit recipes`).", show_default="a small network")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.", show_default="the recipe's")] = None,
    sigma: Annotated[
        str, typer.Option(help="Standard deviations of the score's noise, ascending; pixel values are in [0, 1].")
    ] = "0.25",
    similarity: Annotated[str, typer.Option(help="Of gradients and scores, as `gradaudit alignment` takes it.")] = "cosine",
    gradient: Annotated[str, typer.Option(help="`logit`, `logit_sum`, `log_probability`, `package.module:function`.")] = "logit",
    score: Annotated[
        str, typer.Option(help="`conditional`, `unconditional`, `bayes`; `auto`: conditional where the denoiser knows classes.")
    ] = "auto",
    radius: Annotated[
        str | None,
        typer.Option(
            help="L2 lengths of the noise, ascending; regimes are called at the middle one.", show_default="the paper's, to scale"
        ),
    ] = None,
    samples: Annotated[int, typer.Option(help="Draws of that noise an image.")] = 10,
    norm: Annotated[Norm, typer.Option(help="Of PGD, and of the objectives that have one.")] = Norm.l2,
    eps: Annotated[
        str, typer.Option(help="Radii of PGD, above 0, ascending; pixel values are in [0, 1], and fractions will do: 2/255.")
    ] = "0.5,1,2",
    train_images: TrainImages = None,
    test_images: TestImages = None,
    data_dir: Folder = None,
    on_error: OnImageError = OnError.raises,
    out: Annotated[Path, typer.Option(help="Folder for results.json, table, figures and page.")] = Path("out"),
    store: StoreFolder = None,
    workers: Workers = "auto",
    backend: Backend = "local",
    address: Address = None,
    device: Device = "auto",
    seed: Seed = 0,
    allow_pickle: AllowPickle = False,
    as_json: AsJson = False,
) -> None:
    """Do gradients align where a classifier is robust off the data manifold, but not on it? Along families of classifiers.

    A sweep that is stopped continues where it was when the same command is given again.

    Example: `gradaudit sweep mnist5k --denoiser zoo:mnist --tangents autoencoder.safetensors --family gradient_penalty=0.001,0.1,10
    --family noise`
    """
    from gradaudit.diffusion.load import load_denoiser
    from gradaudit.diffusion.tangents import tangent_spaces
    from gradaudit.files import check_writable
    from gradaudit.instruments.sweep import STRENGTHS, read_families
    from gradaudit.instruments.sweep import sweep as run

    check_writable("--out", out)
    families = _families(family or [*STRENGTHS])
    read_families(families, norm.value)
    lengths = None if radius is None else numbers("--radius", radius)
    base = _base(recipe, epochs, seed)
    training, testing = images(data, data_dir, seed, train_images, test_images, on_error)
    model = load_denoiser(denoiser, allow_pickle=allow_pickle)
    source, options = tangents_source(tangents, training, allow_pickle)
    start = time.perf_counter()
    result = run(
        training,
        testing,
        denoiser=model,
        # A function, so that every other argument is checked before it is called.
        tangent_spaces=partial(tangent_spaces, source=source, seed=seed, device=device, show_progress=True, **options),
        families=families,
        base=base,
        sigma=numbers("--sigma", sigma),
        similarity=similarity,
        gradient=gradient,
        score=score,
        radius=lengths,
        samples=samples,
        norm=norm.value,
        eps=radii(eps),
        seed=seed,
        store=store,
        workers=workers_of(workers),
        backend=backend_of(backend, address),
        device=device,
        show_progress=True,
    )
    seconds = time.perf_counter() - start
    title = "Where along a training sweep do gradients align?"
    deliver(result, data, out, print_sweep, title=title, seconds=seconds, as_json=as_json, figures="figures")


def print_sweep(result: SweepResult, title: str) -> None:
    """Print a row a classifier with its regime, the peaks, the correlations, and the verdict."""
    out = console()
    out.print(_classifiers(result, title))
    out.print(_peaks(result))
    for row in result.correlation().to_dict("records"):
        found = f"{row['correlation']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}] over {row['classifiers']} classifiers"
        say(f"rank correlation of off-manifold robustness and alignment, {escape(row['family'])}: {escape(found)}")
    print_verdict(result.verdict)


def _classifiers(result: SweepResult, title: str) -> Table:
    settings, last = result.settings, result.settings["eps"][-1]
    radius, sigma = settings["reference_radius"], settings["sigma"][0]
    shown = {
        "accuracy": ("accuracy", None),
        f"PGD {settings['norm']} {last:g}": ("pgd", last),
        f"alignment {sigma:g}": ("alignment", sigma),
        "control": ("alignment_control", sigma),
        f"change on {radius:.3g}": ("change_on", radius),
        "off": ("change_off", radius),
        "on / off": ("off_manifold_robustness", None),
    }
    table = Table(title=f"Sweep, {escape(title)}")
    for column in ("family", "strength", *shown, "regime", "probability"):
        table.add_column(column, justify="left" if column in ("family", "regime") else "right")
    columns = {name: result.rows(*where)["value"].tolist() for name, where in shown.items()}
    for place, row in enumerate(result.regimes.to_dict("records")):
        probability = "" if row["regime"] == "uncertain" else f"{row[row['regime']]:.3f}"
        values = (f"{columns[name][place]:.4f}" for name in shown)
        table.add_row(escape(row["family"]), f"{row['strength']:g}", *values, row["regime"], probability)
    return table


def _peaks(result: SweepResult) -> Table:
    table = Table(title="Largest alignment")
    for column in ("family", "strength", "alignment", "95 % interval", "peak", "P(intermediate)"):
        table.add_column(column, justify="left" if column in ("family", "peak") else "right")
    for row in result.peaks().to_dict("records"):
        interval = escape(f"[{row['low']:.3f}, {row['high']:.3f}]")
        values = (f"{row['strength']:g}", f"{row['alignment']:.3f}", interval, row["peak"], f"{row['probability']:.3f}")
        table.add_row(escape(row["family"]), *values)
    return table


def _families(given: list[str]) -> dict[str, tuple[float, ...] | None]:
    """Strengths by family; an `=` within brackets is an option's."""
    found: dict[str, tuple[float, ...] | None] = {}
    for text in given:
        head, bracket, tail = text.rpartition(")")
        name, equals, strengths = tail.partition("=")
        name = head + bracket + name
        require(name not in found, "--family", text, "named once")
        found[name] = numbers("--family", strengths) if equals else None
    return found


def _base(name: str | None, epochs: int | None, seed: int) -> Recipe:
    from gradaudit.instruments.sweep import BASE
    from gradaudit.training import named_recipe

    changes: Mapping[str, Any] = {"seed": seed} | ({} if epochs is None else {"epochs": epochs})
    return BASE.with_(**changes) if name is None else named_recipe(name, **changes)
