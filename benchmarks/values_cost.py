"""Claim: evaluators in the place of hundreds of learners take at least 10 times less processor time, at intervals as narrow.

The DiffROAR part of an audit of the two packaged MNIST classifiers with three controls at five levels, 2,000 training and 500 test
images, three seeds: by the evaluators of the preset `quick` with their gap, and by retraining on pixels, masks and both; one
process of one thread, processor time, empty stores. Beside it the marginal cost of one more attribution, and the evaluator's
training step against a plain loop of the same network and masks (DataLoader, masks made by numpy image by image, fp32).

Run: `[ONEDNN_MAX_CPU_ISA=AVX2] python benchmarks/values_cost.py`. About half an hour on one core; with the variable torch computes
as on processors without bf16 matrix units.
"""

from __future__ import annotations

import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

import gradaudit as ga
from _record import Row, benchmark_parser, recording
from gradaudit.attributions import kept_count
from gradaudit.auditing.settings import read_preset
from gradaudit.devices import one_thread, resolve_precision
from gradaudit.evaluator import EvaluatorTraining, resolve_evaluator
from gradaudit.evaluator.network import build_with_mask
from gradaudit.fills import resolve_fill
from gradaudit.training.fitting import Draw, fit

LEVELS = (0.02, 0.05, 0.1, 0.2, 0.5)
CONTROLS = ("random", "blurred_random", "edges")
CPU = torch.device("cpu")


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    train, test = ga.load_images("mnist5k")
    train, test = (train.sample(200, 0), test.sample(50, 0)) if arguments.short else (train.sample(2000, 0), test.sample(500, 0))
    kind = f"{resolve_precision('auto', CPU)}, {os.environ.get('ONEDNN_MAX_CPU_ISA', 'all that the processor has')}"
    with recording(__file__, __doc__, arguments) as rows:
        rows.append(Row(f"precision, instructions: {kind}"))
        rows += audits(train, test, arguments.seeds)
        rows += steps(train, arguments.rounds)
        for row in rows:
            print(row)


def audits(train: ga.ImageSet, test: ga.ImageSet, seeds: int) -> list[Row]:
    """Both protocols on the same two classifiers, and their intervals."""
    classifiers = {name: ga.load_classifier(f"zoo:mnist/{name}") for name in ("standard", "robust")}
    options: dict[str, Any] = {"levels": LEVELS, "seeds": seeds, "controls": CONTROLS, "workers": 1, "device": "cpu"}
    reader = {"evaluator": ga.Recipe(**read_preset("quick")["diffroar"]["evaluator"])}
    spent, widths = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        masks: dict[str, Any] = {}
        for name, classifier in classifiers.items():
            run = ga.prepare_diffroar(classifier, train, test, store=folder, **options, **reader)
            masks |= {f"{label}, {name}": one for label, one in run.own_masks(make=True).items()}
        options_of: dict[str, dict[str, Any]] = {"values": {"masks": masks, **reader}, "retrain": {"evaluate": "retrain"}}
        for way, own in options_of.items():
            start = time.process_time()
            found = [
                ga.diffroar(one, train, test, store=f"{folder}/{way}", show_progress=True, **options, **own)
                for one in classifiers.values()
            ]
            spent[way] = time.process_time() - start
            low, high = ("values_low", "values_high") if way == "values" else ("bits_low", "bits_high")
            summaries = [one.summary[one.summary["attribution"] == "logit_gradient"] for one in found]
            widths[way] = float(np.mean([float((one[high] - one[low]).mean()) for one in summaries]))
        start = time.process_time()
        more = {"attribution": ["logit_gradient", "smoothgrad(samples=10)"], "store": f"{folder}/values", "masks": masks, **reader}
        ga.diffroar(classifiers["standard"], train, test, **options, **more)
        marginal = time.process_time() - start
    return [
        Row("two classifiers, retrained", spent["retrain"], "s"),
        Row(
            "two classifiers, read by evaluators",
            spent["values"],
            "s",
            against="retrained",
            ratio=spent["retrain"] / spent["values"],
            at_least=10.0,
        ),
        Row("mean width of 95 % intervals of raw DiffROAR in bits, retrained", widths["retrain"], "bits"),
        Row("mean width of 95 % intervals of values", widths["values"], "bits", at_most=widths["retrain"]),
        Row("one more attribution, five levels, both sides, with its ranking", marginal, "s"),
    ]


def steps(train: ga.ImageSet, rounds: int) -> list[Row]:
    """Seconds of an epoch of the evaluator's training, and of a plain loop of the same network and masks, in turn."""
    edges = ga.attribute_all(None, train, "edges", device="cpu")
    recipe = ga.Recipe(**read_preset("quick")["diffroar"]["evaluator"]).with_(epochs=1)
    spec = resolve_evaluator(recipe, train, 1)
    pool = ga.prepare_diffroar(
        nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), train, train, controls=("edges",), store="memory://e"
    )
    ranking = pool.own_masks(make=True)["edges"]
    training = EvaluatorTraining(spec, train, "coordinates", resolve_fill("mean", train), 0.02, (ranking,), 0, CPU)
    draw, blocks = training.draw()  # made once for a training of many epochs
    network = spec.build(train, 1)
    ways: dict[str, Callable[[], None]] = {
        "plain loop": lambda: plain(train, edges, recipe),
        "evaluator's loop": lambda: ours(network, draw, blocks, training),
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            start = time.process_time()
            run()
            spent[name].append(time.process_time() - start)
    a_step = {name: statistics.median(found) / math.ceil(len(train) / recipe.batch_size) for name, found in spent.items()}
    ratios = [theirs / mine for theirs, mine in zip(spent["plain loop"], spent["evaluator's loop"], strict=True)]
    return [
        Row("plain loop", a_step["plain loop"], "s a step"),
        Row(
            "evaluator's loop",
            a_step["evaluator's loop"],
            "s a step",
            against="plain loop",
            ratio=statistics.median(ratios),
            spread=(min(ratios), max(ratios)),
            at_least=2.0,
        ),
    ]


def ours(network: nn.Module, draw: Draw, blocks: int, training: EvaluatorTraining) -> None:
    """An epoch."""
    with one_thread():
        fit(network, draw, blocks, training.by_block, device=CPU)


class Masked(Dataset[tuple[Tensor, int]]):
    """Images under masks made one by one, as one would write it first."""

    def __init__(self, images: ga.ImageSet, scores: Tensor) -> None:
        self.images, self.labels = images.images.numpy(), images.labels.numpy()
        self.ranks = (-scores.flatten(1).numpy()).argsort(axis=1).argsort(axis=1)
        self.mean = float(images.mean())
        self.rng = np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.images[index].astype(np.float32) / 255
        count = image.size
        kind = self.rng.random()
        if kind < 0.25:
            ranks = self.rng.permutation(count)
        elif kind < 0.5:
            width = np.exp(self.rng.uniform(np.log(0.5), np.log(7.0)))
            field = gaussian_filter(self.rng.standard_normal(image.shape), (0, width, width), mode="wrap")
            ranks = (-field.ravel()).argsort().argsort()
        else:
            ranks = self.ranks[self.rng.integers(len(self.ranks))]
        keep = kept_count(float(np.exp(self.rng.uniform(np.log(0.01), np.log(0.98)))), count)
        mask = (ranks < keep if self.rng.random() < 0.5 else ranks >= count - keep).reshape(image.shape)
        shown = np.concatenate([np.where(mask, image, self.mean), mask]).astype(np.float32)
        return torch.from_numpy(shown), int(self.labels[index])


def plain(images: ga.ImageSet, scores: Tensor, recipe: ga.Recipe) -> None:
    """An epoch of a loop as tutorials have it."""
    torch.manual_seed(0)
    network = build_with_mask(recipe, images.shape, 1, len(images.classes)).train()
    optimizer = torch.optim.SGD(
        network.parameters(), recipe.learning_rate, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay
    )
    for shown, labels in DataLoader(Masked(images, scores), recipe.batch_size, shuffle=True):
        optimizer.zero_grad()
        F.cross_entropy(network(shown), labels).backward()
        optimizer.step()


if __name__ == "__main__":
    main()
