"""The part `rates` of `gpu.py`: an evaluator's training against a plain loop and against retraining, and learners at once."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.utils.data import DataLoader, TensorDataset

import gradaudit as ga
import inner_loop
from _gpu_time import Deadline, affordable
from _record import Row
from _timing import settle
from gradaudit.attributions import kept_count
from gradaudit.evaluator import build_with_mask
from gradaudit.fills import resolve_fill
from gradaudit.instruments.diffroar.cells import Cell, fit_cell
from gradaudit.instruments.diffroar.unmasking import Split, Unmasking
from gradaudit.training.fitting import autocast, optimizer_of, set_rate

if TYPE_CHECKING:
    from _gpu_parts import Notes, Settings

EVALUATORS = ("convnet(width=32, batch_norm=true)", "resnet18(width=32)")
LEVEL = 0.1  # of the features that a retrained learner is shown
WORKERS, STACKED = (1, 2, 4, 8), 8
MOST_EPOCHS = 30
AT_HALF = 0.5  # of the pixels, under which accuracies are compared

Seconds, Accuracy = float, float


def rates(settings: Settings, notes: Notes) -> None:
    """An evaluator's training, first of a small network, then of a ResNet-18; between them, learners at once."""
    train, test = settings.images("cifar10")
    if settings.source("cifar10") == "digits":
        notes.add(Row("digits of mnist5k in the place of CIFAR-10's images: so many", len(train)))
    splits = [inner_loop.ranked(images, seed) for seed, images in enumerate((train, test.sample(min(len(test), 1000))))]
    networks = ("convnet(width=4, batch_norm=true)",) if settings.tiny else EVALUATORS
    for place, network in enumerate(networks):
        with notes.attempt(f"evaluator, {network}"):
            evaluator_rates(network, train, test, splits, settings, notes, settings.deadline.share(0.35 if place == 0 else 0.9))
        if place == 0:
            together(train, splits, settings, notes, settings.deadline.share(0.7))


def evaluator_rates(
    network: str,
    train: ga.ImageSet,
    test: ga.ImageSet,
    splits: list[Split],
    settings: Settings,
    notes: Notes,
    deadline: Deadline,
) -> None:
    """Images a second of the three ways, and how good what they trained is at half of the pixels."""
    recipe = ga.named_recipe("evaluators/convnet", network=network, epochs=1)
    ways: dict[str, Callable[[ga.Recipe], tuple[Seconds, Accuracy | None]]] = {
        "plain loop": lambda one: plain(one, train, test, settings.device),
        "Evaluator.fit": lambda one: library(one, train, test, settings.device),
        "retraining": lambda one: retraining(one, train, splits, settings.device),
    }
    trials = {}
    for name, way in ways.items():
        with notes.attempt(f"{network}: {name}"):
            way(recipe)  # the first is slow
            trials[name] = way(recipe)[0]
    epochs = 1 if settings.tiny else affordable(deadline.left, sum(trials.values()), MOST_EPOCHS)
    found: dict[str, float] = {}
    for name in trials:
        with notes.attempt(f"{network}: {name}"):
            seconds, reached = ways[name](recipe.with_(epochs=epochs))
            found[name] = epochs * len(train) / seconds
            against = {"against": "plain loop", "ratio": found[name] / found["plain loop"]} if len(found) > 1 else {}
            against = against if "plain loop" in found else {}
            what = f"{network}, {epochs} epochs of {len(train):,} images: {name}"
            notes.add(Row(what, found[name], "images a second", **against))  # type: ignore[arg-type]
            if reached is not None:
                notes.add(Row(f"{network}, {name}: accuracy with half of the pixels", reached))
    if {"Evaluator.fit", "retraining"} <= found.keys():
        ratio = found["Evaluator.fit"] / found["retraining"]
        notes.add(Row(f"{network}: Evaluator.fit", found["Evaluator.fit"], "images a second", "retraining", ratio))


def library(recipe: ga.Recipe, train: ga.ImageSet, test: ga.ImageSet, device: str) -> tuple[Seconds, Accuracy]:
    """Of `Evaluator.fit`, into an empty store."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        evaluator = ga.Evaluator.fit(train, recipe, features="pixels", store=folder, device=device)
        settle()
        seconds = time.perf_counter() - start
    hits = evaluator.logits(test, half_masks(test)).argmax(1) == test.labels
    return seconds, float(hits.float().mean())


def plain(recipe: ga.Recipe, train: ga.ImageSet, test: ga.ImageSet, device: str) -> tuple[Seconds, Accuracy]:
    """Of what one would write without thinking of speed: a DataLoader, a random mask for each image, fp32, SGD."""
    start = time.perf_counter()
    torch.manual_seed(recipe.seed)
    network = build_with_mask(recipe, train.shape, 1, len(train.classes)).to(device).train()
    optimizer = torch.optim.SGD(network.parameters(), recipe.learning_rate, 0.9, nesterov=True, weight_decay=recipe.weight_decay)
    total = recipe.epochs * ceil(len(train) / recipe.batch_size)
    images = train.floats()
    mean = images.mean((0, 2, 3))[:, None, None].to(device)
    loader = DataLoader(TensorDataset(images, train.labels), batch_size=recipe.batch_size, shuffle=True)
    step = 0
    for _ in range(recipe.epochs):
        for pixels, labels in loader:
            set_rate(optimizer, recipe, step, total)
            mask = torch.rand(len(pixels), 1, *train.shape[1:]) < torch.rand(len(pixels), 1, 1, 1)
            logits = network(seen(pixels.to(device), mask.to(device), mean))
            optimizer.zero_grad()
            nn.functional.cross_entropy(logits, labels.to(device)).backward()
            optimizer.step()
            step += 1
    settle()
    seconds = time.perf_counter() - start
    network.eval()
    right = 0
    with torch.no_grad():
        for pixels, mask, labels in zip(
            *(torch.split(part, 512) for part in (test.floats(), half_masks(test), test.labels)), strict=True
        ):
            right += int((network(seen(pixels.to(device), mask.to(device), mean)).argmax(1).cpu() == labels).sum())
    return seconds, right / len(test)


def seen(pixels: Tensor, mask: Tensor, mean: Tensor) -> Tensor:
    """Images with the mean where the mask is False, and the mask as a further channel."""
    return torch.cat([torch.where(mask, pixels, mean), mask.float()], 1)


def half_masks(images: ga.ImageSet) -> Tensor:
    """Boolean (N, 1, H, W), the same each time."""
    return torch.rand(len(images), 1, *images.shape[1:], generator=torch.Generator().manual_seed(0)) < AT_HALF


def retraining(recipe: ga.Recipe, train: ga.ImageSet, splits: list[Split], device: str) -> tuple[Seconds, None]:
    """Of a cell of DiffROAR's grid, which sees one share of the features and measures test images; no evaluator comes of it."""
    cell = cell_of(recipe, train, splits)
    start = time.perf_counter()
    fit_cell(cell, torch.device(device))
    return time.perf_counter() - start, None


def cell_of(recipe: ga.Recipe, train: ga.ImageSet, splits: list[Split]) -> Cell:
    """A cell that keeps the top features."""
    unmasking = Unmasking(kept_count(LEVEL, splits[0].ranks.shape[1]), "top", "image", resolve_fill("mean", train))
    return inner_loop.with_seed(Cell(unmasking, recipe, splits[0], splits[1], len(train.classes), {}), recipe.seed)


def together(train: ga.ImageSet, splits: list[Split], settings: Settings, notes: Notes, deadline: Deadline) -> None:
    """Learners an hour: one after the other, by several processes on one GPU, and stacked in one; and by a plain loop."""
    recipe = ga.Recipe(network="convnet(width=4)" if settings.tiny else "convnet(width=32)", epochs=1 if settings.tiny else 4)
    cell, device = cell_of(recipe, train, splits), torch.device(settings.device)
    what = f"{recipe.network}, {recipe.epochs} epochs of {len(train):,} images"
    alone = None
    for name, way, count in ways_together(device, settings.tiny):
        # A first, short round starts workers, which takes seconds each: it is not timed, but must be paid for.
        expected = 0.0 if alone is None else 1.3 * count * alone + (20.0 if "processes" in name else 2.0)
        if deadline.left < expected:
            notes.shorter(f"{what}: {name}")
            continue
        with notes.attempt(f"{what}: {name}"):
            way(replace(cell, recipe=recipe.with_(epochs=1)), count)
            start = time.perf_counter()
            accuracies = way(cell, count)
            settle()
            each = (time.perf_counter() - start) / count
            against = {} if alone is None else {"against": "one process", "ratio": alone / each}
            alone = alone or each
            notes.add(Row(f"{what}: {name}", 3600 / each, "learners an hour", **against))  # type: ignore[arg-type]
            notes.add(Row(f"{what}: {name}, mean accuracy", sum(accuracies) / len(accuracies)))


def ways_together(device: torch.device, tiny: bool) -> list[tuple[str, Callable[[Cell, int], list[float]], int]]:
    """The name of each, what it does with a cell and a number of seeds, and how many."""

    def seeds(one: Cell, count: int) -> list[Cell]:
        return [inner_loop.with_seed(one, seed) for seed in range(count)]

    def by(workers: int) -> Callable[[Cell, int], list[float]]:
        return lambda one, count: inner_loop.grid(seeds(one, count), workers, device)

    ways = [("one process", by(1), 2)]
    ways += [("plain loop", lambda one, count: [inner_loop.plain(each, device) for each in seeds(one, count)], 1)]
    ways += [("stacked by torch.func", lambda one, count: stacked(one, count, device), 2 if tiny else STACKED)]
    return ways + [(f"{workers} processes", by(workers), 2 * workers) for workers in (WORKERS[1:2] if tiny else WORKERS[1:])]


def stacked(cell: Cell, count: int, device: torch.device) -> list[float]:
    """Accuracies of so many learners that are trained as one: a learner's weights are a slice of each tensor."""
    recipe, shape = cell.recipe, cell.train.images.shape[1:]
    networks = []
    for seed in range(count):
        torch.manual_seed(seed)
        networks.append(recipe.build(shape, cell.classes).to(device))
    weights, buffers = stack_module_state(networks)  # type: ignore[arg-type]
    base = networks[0]

    def loss(own: dict[str, Tensor], kept: dict[str, Tensor], images: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.cross_entropy(functional_call(base, (own, kept), (images,)), labels)

    step_of = vmap(grad(loss))
    optimizer = optimizer_of(weights.values(), recipe)
    draw, steps = cell.unmasking.draw(cell.train, device), ceil(len(cell.train) / recipe.batch_size)
    total = recipe.epochs * steps
    for epoch in range(recipe.epochs):
        orders = torch.stack([torch.randperm(len(cell.train)) for _ in range(count)])
        for number, indices in enumerate(torch.tensor_split(orders, steps, dim=1)):
            images, labels = draw(indices.flatten())
            set_rate(optimizer, recipe, epoch * steps + number, total)
            with autocast(recipe, device):
                found = step_of(weights, buffers, images.unflatten(0, (count, -1)), labels.view(count, -1))
            for name, weight in weights.items():
                weight.grad = found[name]
            optimizer.step()
    return measured(cell, base, weights, buffers, device)


@torch.no_grad()
def measured(
    cell: Cell, base: nn.Module, weights: dict[str, Tensor], buffers: dict[str, Tensor], device: torch.device
) -> list[float]:
    """The test accuracy of each of the stacked learners."""
    draw, right = cell.unmasking.draw(cell.test, device), torch.zeros((), dtype=torch.long, device=device)
    for indices in torch.split(torch.arange(len(cell.test)), 512):
        images, labels = draw(indices)
        logits = vmap(lambda own, kept, seen: functional_call(base, (own, kept), (seen,)), (0, 0, None))(weights, buffers, images)
        right = right + (logits.argmax(2) == labels).sum(1)
    return [float(count) / len(cell.test) for count in right]
