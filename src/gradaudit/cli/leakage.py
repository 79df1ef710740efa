"""`gradaudit leakage`."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from gradaudit.cli._options import (
    AllowPickle,
    AsJson,
    Audited,
    Data,
    Device,
    Features,
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
    specs,
)
from gradaudit.cli._output import console, deliver, pictured, print_verdict
from gradaudit.errors import InputError, require

if TYPE_CHECKING:
    import numpy as np

    from gradaudit.images import ImageSet
    from gradaudit.instruments.leakage import LeakageResult


def leakage(
    classifier: Audited,
    data: Data,
    weights: Weights = None,
    normalisation: Normalisation = None,
    allow_pickle: AllowPickle = False,
    attribution: Annotated[
        list[str] | None,
        typer.Option(
            help="An attribution's spec, or a `.npy` file of scores; may be repeated, the verdict is about the first.",
            show_default="logit_gradient",
        ),
    ] = None,
    top: Annotated[str, typer.Option(help="Shares of the features that count as top-ranked.")] = "0.05,0.1,0.2",
    masks: Annotated[
        Path | None,
        typer.Option(
            help="`.npy` or `.npz` for the test images in their order: boolean masks (N, H, W), or boxes (N, 4), integers left, "
            "top, right, bottom.",
            show_default="the data set's own",
        ),
    ] = None,
    controls: Annotated[
        str, typer.Option(help="Controls beside, such as `edges,untrained`, or `none`.")
    ] = "random,blurred_random,edges",
    features: Annotated[Features, typer.Option(help="Rank coordinates, or pixels over channels.")] = Features.coordinates,
    target: Annotated[Target, typer.Option(help="Attribute the label or the predicted class.")] = Target.label,
    test_images: TestImages = None,
    data_dir: Folder = None,
    on_error: OnImageError = OnError.raises,
    out: Annotated[Path, typer.Option(help="Folder for results.json, table, figure and page.")] = Path("out"),
    device: Device = "auto",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Do attributions stay on the part of the image that matters, where that part is known?

    Example: `gradaudit leakage classifier.safetensors "blocks(of=mnist5k)" --attribution logit_gradient --attribution smoothgrad`
    """
    from gradaudit.files import check_writable
    from gradaudit.instruments import leakage as instrument

    check_writable("--out", out)
    given = [name for name in attribution or [] if name.endswith(".npy")]
    expected = f"left out, as the scores in {', '.join(given)} are those of all test images in their order"
    require(test_images is None or not given, "--test-images", test_images, expected)
    levels = numbers("--top", top)
    testing = _test_images(data, data_dir, masks, seed, test_images, on_error)
    audited = load_audited(classifier, weights, testing, normalisation, allow_pickle)
    attributions = list(attribution or ["logit_gradient"])
    start = time.perf_counter()
    result = instrument.leakage(
        audited,
        testing,
        attribution=attributions,
        target=target.value,
        top=levels,
        controls=specs(controls),
        features=features.value,
        seed=seed,
        device=device,
        show_progress=True,
    )
    seconds = time.perf_counter() - start
    deliver(
        result,
        classifier,
        out,
        print_leakage,
        title=f"Do the attributions of {classifier} stay on the signal?",
        seconds=seconds,
        as_json=as_json,
        pictures=partial(pictured, result, classifier, audited, testing, attributions[0]),
    )


def print_leakage(result: LeakageResult, title: str) -> None:
    """Print the table and the verdict."""
    table = Table(title=f"Leakage, {escape(title)}")
    for column in ("attribution", "measure", "value", "95 % interval", "chance"):
        table.add_column(column, justify="left" if column in ("attribution", "measure") else "right")
    for row in result.table.to_dict("records"):
        interval = f"[{row['low']:.3f}, {row['high']:.3f}]" if row["low"] == row["low"] else "one image"
        table.add_row(escape(row["attribution"]), row["measure"], f"{row['value']:.3f}", interval, f"{row['chance']:.3f}")
    console().print(table)
    print_verdict(result.verdict)


def _test_images(data: str, folder: Path | None, masks: Path | None, seed: int, count: int | None, on_error: OnError) -> ImageSet:
    """The test images with their signal masks, of which some are drawn once each has its own."""
    from gradaudit.images import ImageSet

    _, testing = images(data, folder, seed, None, None, on_error)
    if masks is not None:
        found = _read(masks)
        testing = ImageSet(testing.images, testing.labels, testing.classes, _as_mask(found, testing))
    expected = (
        "given, as these images have no signal mask: a file of masks or boxes; or give data that has masks, "
        'such as "blocks(of=mnist5k)" or an .npz with test_signal_mask'
    )
    require(testing.signal_mask is not None, "--masks", None, expected)
    return testing if count is None else testing.sample(count, seed)


def _as_mask(found: np.ndarray, like: ImageSet) -> Any:
    from gradaudit.instruments.leakage import mask_from_boxes

    return mask_from_boxes(found, like.shape[1:]) if found.ndim == 2 and found.dtype.kind in "iu" else found


def _read(path: Path) -> np.ndarray:
    """The array of an `.npy`, or the one called `signal_mask` or alone in an `.npz`; nothing is unpickled."""
    import numpy as np

    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            name = "signal_mask" if "signal_mask" in loaded.files else loaded.files[0]
            require(len(loaded.files) == 1 or name == "signal_mask", "--masks", loaded.files, "one array, or one named signal_mask")
            array: np.ndarray = loaded[name]
            return array
    except (OSError, ValueError, EOFError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("--masks", str(path), f"a readable .npy or .npz file of masks or boxes ({error})") from error
