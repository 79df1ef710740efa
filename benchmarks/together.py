"""Question: what do fits that train together gain over the same fits one by one, on one thread of a CPU or on a GPU?

Groups of 1, 2, 4 and 8 fits of an MLP and of a convnet with batch norm; with `--device cuda`, which was never run, of ResNet-18 as
well, and the plain loop of `inner_loop.py` beside them. Whole fits, evaluation included, in turn, in one run; the ratio is of fits
an hour. What can't run here is printed as not measured.
Run: `python benchmarks/together.py`. About 3 minutes on 2 cores.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

import gradaudit as ga
from _record import Row, benchmark_parser, recording
from _timing import compared, in_turn
from gradaudit.attributions import kept_count
from gradaudit.devices import one_thread, resolve_device
from gradaudit.errors import TrainingError
from gradaudit.fills import resolve_fill
from gradaudit.instruments.diffroar.cells import Cell, Placement, Split, fit_cells, member_of
from gradaudit.training.together import ONE_BY_ONE, WAYS
from inner_loop import LEVEL, plain, ranked, with_seed

NETWORKS = {"mlp": "mlp", "convnet with batch norm": "convnet(batch_norm=true)"}
ON_GPU = {"resnet18": "resnet18"}
SIZES = (1, 2, 4, 8)
Splits = tuple[Split, Split]


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--data", default="mnist5k")
    parser.add_argument("--data-dir", default=os.environ.get("GRADAUDIT_DATA"))
    parser.add_argument("--train-images", type=int, default=512)
    parser.add_argument("--test-images", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    if arguments.short:
        arguments.train_images, arguments.test_images, arguments.rounds = 256, 100, 1
    device = resolve_device(arguments.device)
    train, test = ga.load_images(arguments.data, folder=arguments.data_dir)
    train, test = train.sample(arguments.train_images), test.sample(arguments.test_images)
    splits = ranked(train, 0), ranked(test, 1)
    networks = NETWORKS | (ON_GPU if device.type == "cuda" else {})
    with recording(__file__, __doc__, arguments) as rows, one_thread():
        for name, network in networks.items():
            recipe = ga.Recipe(network=network, epochs=arguments.epochs)
            cell = Cell(kept_count(LEVEL, splits[0].ranks.shape[1]), "top", "image", resolve_fill("zero", train), recipe)
            rows += compare(name, cell, splits, len(train.classes), device, arguments.rounds)
        rows += [Row(f"{name}: all ways", why="only on a GPU") for name in ON_GPU if name not in networks]


def compare(network: str, cell: Cell, splits: Splits, classes: int, device: torch.device, rounds: int) -> list[Row]:
    """Time the ways that can train this learner here; print and return seconds a fit and ratios, and why the others can't."""
    member = member_of(cell, *splits, classes, Placement(device))
    why_not = {way: WAYS.function("way", way).why_not(member, cell.recipe, device) for way in WAYS.names()}
    ways: dict[str, tuple[Callable[[int], list[float]], int]] = {
        ONE_BY_ONE: (one_group(ONE_BY_ONE, 1, cell, splits, classes, device), 1)
    }
    for way in WAYS.names():
        if way != ONE_BY_ONE and why_not[way] is None:
            for size in SIZES:
                ways[f"{way}, {size} at once"] = one_group(way, size, cell, splits, classes, device), size
    if device.type == "cuda":
        ways["plain loop"] = partial(plain_loop, cell, splits, classes, device), 1
    for run, _ in ways.values():
        run(10_000)  # warm
    seconds, accuracies = in_turn({name: run for name, (run, _) in ways.items()}, rounds)
    each = {name: [spent / ways[name][1] for spent in values] for name, values in seconds.items()}
    rows = []
    for name, values in each.items():
        against = {} if name == ONE_BY_ONE else {"against": ONE_BY_ONE, **compared(each[ONE_BY_ONE], values)}
        rows.append(Row(f"{network}: {name}", statistics.median(values), "s a fit", **against))
        reached = float(np.mean([value for found in accuracies[name] for value in found]))
        print(f"{network:24s} {name:20s} {rows[-1].value:8.3f} s a fit  x{against.get('ratio', 1):.2f}  accuracy {reached:.3f}")
    for way, reason in why_not.items():
        if reason is not None:
            rows.append(Row(f"{network}: {way}", why=reason))
            print(f"{network:24s} {way:20s} not measured: {reason}")
    return rows


def one_group(way: str, size: int, cell: Cell, splits: Splits, classes: int, device: torch.device) -> Callable[[int], list[float]]:
    """Trains a group of so many seeds; gives their accuracies."""

    def run(number: int) -> list[float]:
        cells = [with_seed(cell, 100 * number + place) for place in range(size)]
        found = []
        for _, outcome in fit_cells(cells, [splits] * size, classes, device, way):
            if isinstance(outcome, TrainingError):
                raise outcome
            found.append(outcome["accuracy"])
        return found

    return run


def plain_loop(cell: Cell, splits: Splits, classes: int, device: torch.device, number: int) -> list[float]:
    return [plain(with_seed(cell, number), splits, classes, device)]


if __name__ == "__main__":
    main()
