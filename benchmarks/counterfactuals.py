"""Claim: DVCE with the cone changes what a digit shows, APGD changes what one network says of it (docs/counterfactuals.md).

100 MNIST test digits, each towards a class that looks like it (4 to 9, 3 to 8, 1 to 7, ...); explained classifier: the standard
LeNet-5 that others trained; helper: the robust classifier of the package; denoiser: the package's; oracles, which no method sees:
a convnet trained here, and the adversarial LeNet-5. Every method in one table: with and without the cone, the cheaper ways of
guidance, faster samplers, and the baselines.

Run: `python benchmarks/counterfactuals.py --data-dir DATA --weights-dir WEIGHTS`. 20 minutes on 2 cores; a stopped run continues.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from textwrap import fill

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

import gradaudit as ga
from _record import save_figure, table_parser
from gradaudit.files import write_text
from gradaudit.results import versions

LIKE = {0: 6, 1: 7, 2: 3, 3: 8, 4: 9, 5: 6, 6: 0, 7: 9, 8: 3, 9: 4}  # what a digit is most easily taken for
RUNS = {  # name: method, whether the robust helper takes part
    "DVCE, cone": ("dvce", True),
    "DVCE, no cone": ("dvce", False),
    "DVCE, denoiser's cone": ("dvce(helper=denoiser)", False),
    "DVCE, denoiser's consensus": ("dvce(helper=denoiser, join=consensus, cone=45.0)", False),
    "DVCE, cone, one product": ("dvce(guidance=combined)", True),
    "DVCE, cone, no product": ("dvce(guidance=none)", True),
    "DVCE, cone, DDIM": ("dvce(sampler=ddim, steps=100)", True),
    "DVCE, cone, second order": ("dvce(sampler=second_order, steps=50)", True),
    "blended": ("blended", False),
    "SVCE": ("svce", False),
    "APGD": ("apgd", False),
    "APGD, radius 3": ("apgd(radius=3)", False),
}
MEASURES = ("flip_rate", "agreed_convnet", "agreed_lenet5_adversarial", "l1", "l2", "cout", "outside_mask")


def main() -> None:
    parser = table_parser(__file__, __doc__, weights=True, workers=None)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--only", default="", help="runs whose name has this in it")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    train, test = ga.load_images("mnist", folder=arguments.data_dir)
    weights = Path(arguments.weights_dir)
    explained = ga.load_classifier("lenet5", weights / "mnist_lenet5_clntrained.pt")
    helper, denoiser = ga.load_classifier("zoo:mnist/robust"), ga.load_denoiser("zoo:mnist")
    oracle = ga.train_once(ga.Recipe(network="convnet", epochs=3), train, store=arguments.store, device="cpu", show_progress=True)
    print(f"oracle convnet: test accuracy {ga.measure_accuracy(oracle, test):.4f}")
    oracles = {"convnet": oracle, "lenet5_adversarial": ga.load_classifier("lenet5", weights / "mnist_lenet5_advtrained.pt")}
    images = chosen(explained, test, arguments.images, arguments.seed)
    targets = [LIKE[label] for label in images.labels.tolist()]
    frames = []
    for name, (method, helped) in RUNS.items():
        if arguments.only not in name:  # as it was found before
            if (folder := arguments.out / "out" / folder_name(name)).exists():
                frames.append(in_short(name, ga.CounterfactualResult.load(folder)))
            continue
        start = time.perf_counter()
        result = ga.counterfactual(
            explained,
            images,
            targets,
            denoiser,
            robust=helper if helped else None,
            method=method,
            oracles=oracles,
            reference=train.sample(2000, arguments.seed),
            seed=arguments.seed,
            store=arguments.store,
            device="cpu",
            show_progress=True,
        )
        folder = result.save(arguments.out / "out" / folder_name(name))
        if result.frames:
            result.animation(folder / "animation.webp")
        frames.append(in_short(name, result))
        print(f"{name}: {result.verdict} ({time.perf_counter() - start:.0f} s now)", flush=True)
    every = pd.concat(frames)
    names = every["measure"]
    text = as_markdown(every[names.isin(MEASURES) | names.str.contains("frechet|similarity")])
    write_text(arguments.out / "table.md", text + f"\n{arguments.images} images, seed {arguments.seed}, {versions()}\n")
    print(text)
    folders = {name: arguments.out / "out" / folder_name(name) for name in RUNS}
    found = {name: ga.CounterfactualResult.load(folder) for name, folder in folders.items() if folder.exists()}
    save_figure(arguments.out / "gallery.png", gallery(found))


def folder_name(run: str) -> str:
    """Where a run's result is."""
    return run.replace(",", "").replace(" ", "_")


def in_short(run: str, result: ga.Result) -> pd.DataFrame:
    """The summary of a run, and its seconds an image."""
    assert isinstance(result, ga.CounterfactualResult)
    return result.summary.assign(run=run, seconds=sum(result.details["seconds"]) / len(result.table))


def chosen(classifier: torch.nn.Module, test: ga.ImageSet, count: int, seed: int) -> ga.ImageSet:
    """So many digits, as many of each class, all of which the classifier recognises."""
    sample = test.sample(min(4 * count, len(test)), seed)
    with torch.no_grad():
        right = (classifier(sample.floats()).argmax(dim=1) == sample.labels).nonzero()[:, 0]
    each = -(-count // len(test.classes))
    places = [which for label in range(10) for which in right[sample.labels[right] == label][:each].tolist()]
    return sample[places[:count]]


def as_markdown(every: pd.DataFrame) -> str:
    """One row a run, one column a measure with its interval."""
    measures = [*dict.fromkeys(every["measure"])]
    lines = ["| run | " + " | ".join(measures) + " | s an image |", "|" + "---|" * (len(measures) + 2)]
    for run, rows in every.groupby("run", sort=False):
        values = rows.set_index("measure")
        cells = [_cell(values.loc[name]) if name in values.index else "-" for name in measures]
        lines.append(f"| {run} | " + " | ".join(cells) + f" | {rows['seconds'].iloc[0]:.2f} |")
    return "\n".join(lines) + "\n"


def _cell(row: pd.Series) -> str:
    if row["value"] != row["value"]:
        return "-"
    digits = 3 if abs(row["value"]) < 10 else 1
    ends = f" [{row['low']:.{digits}f}, {row['high']:.{digits}f}]" if row["low"] == row["low"] else ""
    return f"{row['value']:.{digits}f}{ends}"


def gallery(results: Mapping[str, ga.CounterfactualResult]) -> Figure:
    """One image of each class: the original, and what each run made of it."""
    table = next(iter(results.values())).table
    rows = table.drop_duplicates("source").index[:10].tolist()
    figure = Figure(figsize=(1.25 * (1 + len(results)), 1.35 * len(rows) + 0.4), layout="constrained")
    grid = figure.subplots(len(rows), 1 + len(results), squeeze=False)
    for axes_row, row in zip(grid, rows, strict=True):
        first = next(iter(results.values()))
        axes_row[0].imshow(shown(first.originals[row]), cmap="gray", vmin=0, vmax=255)
        axes_row[0].set_title(f"{table['source'][row]} to {table['target'][row]}", fontsize=7)
        for axes, (name, result) in zip(axes_row[1:], results.items(), strict=True):
            axes.imshow(shown(result.images[row]), cmap="gray", vmin=0, vmax=255)
            seen = [oracle for oracle in result.oracles if result.table[f"agreed_{oracle}"][row]]
            head = f"{fill(name, 18)}\n" if row == rows[0] else ""
            axes.set_title(f"{head}{result.table['confidence_after'][row]:.2f}, {len(seen)} of {len(result.oracles)}", fontsize=7)
    for axes in grid.flat:
        axes.set_axis_off()
    return figure


def shown(image: Tensor) -> Tensor:
    """(C, H, W) as pictures are drawn."""
    return image[0] if len(image) == 1 else image.permute(1, 2, 0)


if __name__ == "__main__":
    main()
