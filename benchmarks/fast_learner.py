"""Question: does a fast learner give the DiffROAR of a long-trained ResNet, and at what share of the time (docs/retrain.md)?

MNIST, Fashion-MNIST and CIFAR-10, 5,000 training and 5,000 test images of each, a standard and a robust classifier of each (those
of `conditional.py`), pixels ranked by the label's gradient, removed ones at the mean, levels 5, 20 and 50 %, 2 seeds. The
long-trained one is a ResNet-20 whose first convolution has stride 2, 12 epochs. Each other learner is fitted on the same cells with
the same seeds and measured on the same test images, so differences are paired.

Run: `python benchmarks/fast_learner.py --data-dir DATA --weights-dir WEIGHTS`; an hour or so on one core of a CPU, nearly all of it
for the long-trained one. `--only mnist` for one data set, `--learner NAME` for one learner, `--draw` alone for the tables of what
is there; a stopped run continues.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Mapping
from math import ceil

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import nn

import conditional
import gradaudit as ga
from _record import table_parser
from gradaudit.classifiers import build_network
from gradaudit.devices import one_thread, seeded
from gradaudit.files import write_text
from gradaudit.instruments.diffroar import Grid, prepare_diffroar
from gradaudit.instruments.diffroar.statistics import image_variance
from gradaudit.results import versions
from gradaudit.training.fitting import fit
from gradaudit.training.store import unpacked
from gradaudit.training.trained import draw_from

DATA = ("mnist", "cifar10", "fashion-mnist")
LEVELS = (0.05, 0.2, 0.5)
SEEDS = 2
TRAIN_IMAGES, TEST_IMAGES = 5000, 5000


def strided_resnet20(input_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """ResNet-20 whose first convolution has stride 2: a quarter of the work, which is what a CPU can train some fifty times."""
    network = build_network("resnet20", input_shape, classes)
    network.get_submodule("conv1").stride = (2, 2)  # type: ignore[assignment]
    return network


LONG = ga.Recipe(network="fast_learner:strided_resnet20", epochs=12, batch_size=64, learning_rate=0.1)
FAST = ga.named_recipe("learners/fast-convnet")
LEARNERS = {
    "long": LONG,
    "fast-convnet": FAST,
    "fast-mlp": ga.named_recipe("learners/fast-mlp"),
    # What was tried on the way; but for the MLP, each differs from fast-convnet in what its name says.
    "1 epoch": FAST.with_(epochs=1),
    "2 epochs": FAST.with_(epochs=2),
    "6 epochs": FAST.with_(epochs=6),
    "learned first layer": FAST.with_(network="convnet(width=16, batch_norm=true)"),
    "MLP with SGD": ga.Recipe(network="mlp", epochs=4, learning_rate=0.05),
    "Muon": FAST.with_(optimizer="muon(momentum=0.8)"),
}


def main() -> None:
    parser = table_parser(__file__, __doc__, weights=True, workers=1)
    parser.add_argument("--only", choices=DATA, help="one data set")
    parser.add_argument(
        "--learner", action="append", choices=[*LEARNERS], help="only this one, beside the long one; may be repeated"
    )
    parser.add_argument("--draw", action="store_true", help="only the tables of what is there")
    arguments = parser.parse_args()
    if arguments.draw and not (arguments.out / "out").is_dir():
        parser.error(f"nothing was measured here that --draw could show: there is no {arguments.out / 'out'}")
    for data in [] if arguments.draw else [arguments.only] if arguments.only else DATA:
        table = measured(data, arguments)
        write_text(arguments.out / "out" / f"{data}.csv", table.to_csv(index=False, float_format="%.5g"))
    table = pd.concat([pd.read_csv(path) for data in DATA if (path := arguments.out / "out" / f"{data}.csv").exists()])
    write_text(arguments.out / "fast_learner.md", as_markdown(table))
    print(as_markdown(table))


def measured(data: str, arguments: argparse.Namespace) -> pd.DataFrame:
    """A row for each learner, classifier and level; what was fitted before comes from the store."""
    whole, test = ga.load_images(data, folder=arguments.data_dir)
    train, test = whole.sample(TRAIN_IMAGES, 0), test.sample(TEST_IMAGES, 0)
    classifiers = conditional.classifiers(data, whole, arguments)
    names = dict.fromkeys(["long", *(arguments.learner or LEARNERS)])
    seconds = seconds_of_fits([LEARNERS[name] for name in names], train)
    gaps = {name: gaps_by_image(name, classifiers, train, test, arguments) for name in names}
    frames = []
    for name, a_fit in zip(names, seconds, strict=True):
        values = pooled_intervals(list(gaps[name].values()))
        differences = pooled_intervals([gaps[name][cell] - gaps["long"][cell] for cell in gaps[name]])
        frame = pd.DataFrame([*gaps[name]], columns=["classifier", "level"])
        frame[["diffroar", "low", "high"]] = values
        frame[["difference", "difference_low", "difference_high"]] = differences
        frames.append(frame.assign(data=data, learner=name, seconds=a_fit, times=seconds[0] / a_fit))
    return pd.concat(frames, ignore_index=True)


def gaps_by_image(
    learner: str, classifiers: Mapping[str, nn.Module], train: ga.ImageSet, test: ga.ImageSet, arguments: argparse.Namespace
) -> dict[tuple[str, float], np.ndarray]:
    """By classifier and level: right with the top features less right with the bottom ones, (seeds, test images)."""
    found = {}
    for name, classifier in classifiers.items():
        start = time.perf_counter()
        grid = prepare_diffroar(
            classifier,
            train,
            test,
            evaluate="retrain",
            learner=LEARNERS[learner],
            levels=LEVELS,
            seeds=SEEDS,
            controls=(),
            features="pixels",
            fill="mean",
            mask_only=False,
            store=arguments.store,
            workers=arguments.workers,
            device="cpu",
            show_progress=True,
        )
        result = grid.run()
        print(f"{name}, {learner}: {result.verdict} ({time.perf_counter() - start:.0f} s)", flush=True)
        for level in LEVELS:
            top, bottom = (right(grid, level, side) for side in ("top", "bottom"))
            found[name, level] = top - bottom
    return found


def right(grid: Grid, level: float, side: str) -> np.ndarray:
    """1 or 0, (seeds, test images): what the store has of the learners of one level and side."""
    cells = grid.cells(grid.rankings(make=False))
    count = len(grid.sets["test"])
    stored = (grid.crew.store.get(cells["logit_gradient", level, seed, side].description) for seed in grid.compared.seeds)
    return np.stack([unpacked(outcome["correct"], count) for outcome in stored if outcome]).astype(float)


def pooled_intervals(cells: list[np.ndarray]) -> list[tuple[float, float, float]]:
    """Mean and 95 % interval over seeds and test images of each cell's values (seeds, images).

    Two seeds tell little of one cell's variance between seeds, so that is the mean over the cells; the part of the images is
    each cell's own.
    """
    seeds, images = cells[0].shape
    between = statistics.mean(float(cell.mean(axis=1).var(ddof=1)) for cell in cells)
    seed_part, found = max(between, 1 / images**2) / seeds, []
    for cell in cells:
        image_part, mean = image_variance(cell), float(cell.mean())
        variance = seed_part + image_part
        freedom = variance**2 / (seed_part**2 / (len(cells) * (seeds - 1)) + image_part**2 / (images - 1))
        reach = float(stats.t.ppf(0.975, freedom)) * variance**0.5
        found.append((mean, mean - reach, mean + reach))
    return found


def seconds_of_fits(recipes: list[ga.Recipe], images: ga.ImageSet, steps: int = 6, rounds: int = 3) -> list[float]:
    """Seconds that one thread computes for a fit of each recipe: medians over rounds in which each makes a few steps in turn."""
    times: list[list[float]] = [[] for _ in recipes]
    for _ in range(rounds + 1):  # the first is slow
        for recipe, found in zip(recipes, times, strict=True):
            found.append(seconds_of_steps(recipe, images, steps) * ceil(len(images) / recipe.batch_size) * recipe.epochs)
    return [statistics.median(found[1:]) for found in times]


def seconds_of_steps(recipe: ga.Recipe, images: ga.ImageSet, steps: int) -> float:
    """Of one step; the time that other programs take on a busy machine does not count."""
    cpu, count = torch.device("cpu"), min(steps * recipe.batch_size, len(images))
    with one_thread(), seeded(0):
        classifier = recipe.build(images.shape, len(images.classes))
        start = time.process_time()
        fit(classifier, draw_from(images, cpu), count, recipe.with_(epochs=1), device=cpu)
        return (time.process_time() - start) / ceil(count / recipe.batch_size)


def as_markdown(table: pd.DataFrame) -> str:
    """The learners, one a row; then every cell."""
    fast = table[table["learner"] != "long"]
    lines = [
        "| data | learner | seconds a fit | times faster | difference, mean and largest | interval has 0 | same sign | opposite |",
        "|" + "---|" * 8,
    ]
    for (data, learner), rows in fast.groupby(["data", "learner"], sort=False):
        long = table[(table["data"] == data) & (table["learner"] == "long")].set_index(["classifier", "level"])
        ours, theirs = (sign(frame) for frame in (rows.set_index(["classifier", "level"]), long))
        gap = rows["difference"].abs()
        equal = (rows["difference_low"] <= 0) & (rows["difference_high"] >= 0)
        cells = (
            f"{rows['seconds'].iloc[0]:.2f} of {long['seconds'].iloc[0]:.1f}",
            f"{rows['times'].iloc[0]:.1f}",
            f"{gap.mean():.3f}, {gap.max():.3f}",
            f"{equal.sum()} of {len(rows)}",
            f"{(ours == theirs).sum()} of {len(rows)}",
            f"{(ours * theirs < 0).sum()}",
        )
        lines.append(f"| {data} | {learner} | " + " | ".join(cells) + " |")
    lines += ["", *cells_of(table), "", f"{versions()}", ""]
    return "\n".join(lines)


def cells_of(table: pd.DataFrame) -> Iterator[str]:
    """DiffROAR of each learner, and what it differs by from the long-trained one's, by data set, classifier and level."""
    names = list(dict.fromkeys(table["learner"]))
    yield "| data | classifier | level | " + " | ".join(names) + " |"
    yield "|" + "---|" * (3 + len(names))
    for (data, classifier, level), rows in table.groupby(["data", "classifier", "level"], sort=False):
        by_learner = rows.set_index("learner")
        cells = (spelled(by_learner.loc[name], name) if name in by_learner.index else "-" for name in names)
        yield f"| {data} | {classifier} | {100 * level:g} % | " + " | ".join(cells) + " |"


def spelled(row: pd.Series, name: str) -> str:
    """DiffROAR with its interval; for a fast learner, the difference from the long-trained one's, with its own."""
    if name == "long":
        return f"{row['diffroar']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
    reach = f"[{row['difference_low']:+.3f}, {row['difference_high']:+.3f}]"
    return f"{row['diffroar']:+.3f}, by {row['difference']:+.3f} {reach}"


def sign(table: pd.DataFrame) -> pd.Series:
    """1 where DiffROAR's interval is above 0, -1 where below, else 0."""
    return (table["low"] > 0).astype(int) - (table["high"] < 0).astype(int)


if __name__ == "__main__":
    main()
