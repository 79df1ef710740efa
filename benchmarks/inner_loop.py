"""Claim: with two workers the grid trains 3 times as many MLPs, and twice as many convnets, an hour as a plain loop does.

The plain loop: a DataLoader over a TensorDataset of masked float images, fp32, SGD, on all threads or on one, whichever is faster.
Same network, batch size, epochs, schedule and data; in turn, in one run; mean accuracies within 0.5 points, or within what chance
makes of as many fits (95 %). Ours is timed alone on one thread, and as the grid runs it: a worker a core, one thread each.
Run: `python benchmarks/inner_loop.py --data mnist --train-images 6000 --test-images 4000 --rounds 4 --data-dir DATA`. About 3
minutes on 2 cores; with no arguments on the digits that come with the package.
"""

from __future__ import annotations

import math
import os
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import replace
from math import ceil

import numpy as np
import torch
from scipy import stats
from torch.utils.data import DataLoader, TensorDataset

import gradaudit as ga
from _record import Row, benchmark_parser, recording
from _timing import compared, in_turn
from gradaudit.attributions import kept_count, rank
from gradaudit.fills import resolve_fill
from gradaudit.instruments.crew import Crew
from gradaudit.instruments.diffroar.cells import Cell, describe, fit_cell, run_cells
from gradaudit.instruments.diffroar.unmasking import Split, Unmasking
from gradaudit.training.backends.local import local

LEVEL = 0.1
CPU = torch.device("cpu")
NEEDED = {"mlp": 3.0, "convnet": 2.0}
EQUAL = 0.005  # of accuracy
PLAIN, GRID = ("plain loop, all threads", "plain loop, one thread"), "grid, a worker a core"


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--data", default="mnist5k")
    parser.add_argument("--data-dir", default=os.environ.get("GRADAUDIT_DATA"))
    parser.add_argument("--train-images", type=int)
    parser.add_argument("--test-images", type=int)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.short:
        arguments.train_images, arguments.test_images, arguments.epochs, arguments.rounds = 1000, 500, 1, 1
    train, test = ga.load_images(arguments.data, folder=arguments.data_dir)
    train = train.sample(arguments.train_images) if arguments.train_images else train
    test = test.sample(arguments.test_images) if arguments.test_images else test
    splits = [ranked(images, seed) for seed, images in enumerate((train, test))]
    unmasking = Unmasking(kept_count(LEVEL, splits[0].ranks.shape[1]), "top", "image", resolve_fill("zero", train))
    print(f"{train}, {arguments.epochs} epochs, torch {torch.__version__}, {torch.get_num_threads()} threads")
    with recording(__file__, __doc__, arguments) as rows:
        for network in NEEDED:
            recipe = ga.Recipe(network=network, epochs=arguments.epochs)
            rows += compare(network, Cell(unmasking, recipe, *splits, len(train.classes), {}), arguments.rounds)


def ranked(images: ga.ImageSet, seed: int) -> Split:
    """The images with a ranking by edges plus noise: some signal, as real attributions have."""
    scores = ga.attribute_all(None, images, "edges") + 0.1 * torch.rand(len(images), *images.shape)
    return Split(images.images.numpy(), images.labels.numpy(), rank(scores, 0, seed))


def compare(network: str, cell: Cell, rounds: int) -> list[Row]:
    """Time them in turn; print and return seconds a network, accuracy and ratios."""
    fits = max(4, 2 * (os.cpu_count() or 1))
    ways: dict[str, Callable[[int], list[float]]] = {
        PLAIN[0]: lambda seed: [plain(with_seed(cell, seed))],
        PLAIN[1]: lambda seed: [on_one_thread(with_seed(cell, seed))],
        "inner loop, one thread": lambda seed: [fit_cell(with_seed(cell, seed), CPU)["accuracy"]],
        GRID: lambda seed: grid([with_seed(cell, seed + 100 * n) for n in range(fits)]),
    }
    grid([with_seed(cell, 10_000 + n) for n in range(os.cpu_count() or 1)])  # starts the workers
    seconds, accuracies = in_turn(ways, rounds)
    each = {name: [spent / len(found) for spent, found in zip(seconds[name], accuracies[name], strict=True)] for name in ways}
    reached = {name: [value for found in accuracies[name] for value in found] for name in ways}
    base = min(PLAIN, key=lambda name: statistics.median(each[name]))  # whichever is faster on this machine
    print(f"\n{network}: needed {NEEDED[network]} times the networks an hour")
    for name, values in each.items():
        a_network, ratio = statistics.median(values), compared(each[base], values)["ratio"]
        print(
            f"  {name:26s} {a_network:7.2f} s a network  {3600 / a_network:7.0f} an hour  x{ratio:.2f}"
            f"  accuracy {np.mean(reached[name]):.4f} ({100 * (np.mean(reached[name]) - np.mean(reached[base])):+.2f} points)"
        )
    return as_rows(network, base, each, reached)


def as_rows(network: str, base: str, seconds: dict[str, list[float]], reached: dict[str, list[float]]) -> list[Row]:
    """The rows of the record."""
    rows = []
    for name, values in seconds.items():
        needed = NEEDED[network] if name == GRID else None
        against = {} if name == base else {"against": base, **compared(seconds[base], values)}
        rows.append(Row(f"{network}: {name}", statistics.median(values), "s a network", **against, at_least=needed))
    plain_ones = [value for name in PLAIN for value in reached[name]]
    apart, chance = apart_and_by_chance(reached[GRID], plain_ones)
    print(f"  accuracies of {GRID} and of the plain loops differ by {100 * apart:.2f} points, by chance up to {100 * chance:.2f}")
    return [
        *rows,
        Row(f"{network}: mean accuracies of {GRID} and of the plain loops differ by", apart, at_most=max(EQUAL, chance)),
        Row(f"{network}: by chance, these would differ by up to", chance),
    ]


def apart_and_by_chance(ours: list[float], theirs: list[float]) -> tuple[float, float]:
    """How far the means are apart, and half of that difference's 95 % interval (Welch); the latter infinite with too few fits."""
    if min(len(ours), len(theirs)) < 2:
        return abs(statistics.mean(ours) - statistics.mean(theirs)), math.inf
    found = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    return abs(statistics.mean(ours) - statistics.mean(theirs)), float(found.high - found.low) / 2


def with_seed(cell: Cell, seed: int) -> Cell:
    recipe = cell.recipe.with_(seed=seed)
    return replace(cell, recipe=recipe, description=describe(cell.unmasking, recipe, [], CPU))


def grid(cells: list[Cell], workers: int = os.cpu_count() or 1, device: torch.device = CPU) -> list[float]:
    """The cells as the grid fits them, into an empty store."""
    with tempfile.TemporaryDirectory() as folder:
        store = ga.Store(folder)
        crew = Crew(store, workers, local(store, device), device, show_progress=False)
        found = run_cells(dict(enumerate(cells)), crew)
    return [outcome["accuracy"] for outcome in found.values()]


def on_one_thread(cell: Cell) -> float:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return plain(cell)
    finally:
        torch.set_num_threads(threads)


def plain(cell: Cell, device: torch.device = CPU) -> float:
    """What one would write without thinking of speed."""
    recipe = cell.recipe
    torch.manual_seed(recipe.seed)
    sets = []
    for split in (cell.train, cell.test):
        images, labels = cell.unmasking.draw(split, CPU)(torch.arange(len(split)))
        sets.append(TensorDataset(images, labels))
    network = recipe.build(cell.train.images.shape[1:], cell.classes).to(device)
    optimizer = torch.optim.SGD(
        network.parameters(), lr=recipe.learning_rate, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay
    )
    total = recipe.epochs * ceil(len(sets[0]) / recipe.batch_size)
    rise = recipe.warmup * total
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: (step + 0.5) / rise if step + 0.5 < rise else (total - step - 0.5) / (total - rise)
    )
    network.train()
    for _ in range(recipe.epochs):
        for images, labels in DataLoader(sets[0], batch_size=recipe.batch_size, shuffle=True):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(images.to(device)), labels.to(device)).backward()
            optimizer.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        batches = DataLoader(sets[1], batch_size=512)
        correct = sum(int((network(images.to(device)).argmax(1).cpu() == labels).sum()) for images, labels in batches)
    return correct / len(sets[1])


if __name__ == "__main__":
    main()
