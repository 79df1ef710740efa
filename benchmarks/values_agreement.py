"""Claim: where the choice of pixels tells nothing, the evaluator knows what a network trained for that choice alone knows.

MNIST, Fashion-MNIST and CIFAR-10 (12,000 training, 3,000 test images), 5 and 20 % of the pixels kept: at random, by another image's
gradient, and by the image's own edges. For the first two, networks of the same kind, schedule and seeds that are trained under
those masks alone; for edges, which see the image, learners of mask and pixels, which also know what the choice tells. Bits that
these know beyond the evaluator, with intervals over test images.

Run: `python benchmarks/values_agreement.py --data-dir DATA --weights-dir WEIGHTS --only mnist`, after `values.py` with the same
store, whose evaluators it takes. About 15 minutes on 2 cores for each data set; a stopped run continues.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import gradaudit as ga
from _record import table_parser
from conditional import classifiers
from gradaudit.attributions import attribute_all, kept, kept_count, rank
from gradaudit.evaluator import Evaluator, EvaluatorTraining, PoolRanking, trained
from gradaudit.files import fingerprint, write_text
from gradaudit.instruments.diffroar.reading import train_evaluator
from gradaudit.results import versions
from gradaudit.training.backends.local import local
from gradaudit.training.workers import run_all
from gradaudit.usable_information import calibrated_bits
from values import LEVELS, SETS, gradients

KEPT = (0.05, 0.2)


def main() -> None:
    parser = table_parser(__file__, __doc__, weights=True)
    parser.add_argument("--only", choices=SETS, help="one data set")
    parser.add_argument("--epochs", type=int, default=48, help="of the evaluator, which has every kind of mask to learn")
    parser.add_argument("--draw", action="store_true", help="only the table of what is there")
    arguments = parser.parse_args()
    if arguments.draw and not (arguments.out / "out").is_dir():
        parser.error(f"nothing was measured here that --draw could show: there is no {arguments.out / 'out'}")
    for data in [] if arguments.draw else [arguments.only] if arguments.only else SETS:
        start = time.perf_counter()
        rows = measured(data, arguments)
        write_text(arguments.out / "out" / f"{data}.json", json.dumps({"rows": rows, "versions": versions()}, indent=1) + "\n")
        print(f"{data}: {time.perf_counter() - start:.0f} s", flush=True)
    text = as_markdown(arguments.out / "out")
    write_text(arguments.out / "values_agreement.md", text)
    print(text)


def measured(data: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each family of masks and level."""
    train, test = ga.load_images(data, folder=arguments.data_dir)
    models = classifiers(data, train, arguments)
    train, test = train.sample(12000, 0), test.sample(3000, 0)
    run = ga.prepare_diffroar(
        models["standard"],
        train,
        test,
        gradients(models, test),
        levels=LEVELS,
        seeds=1,
        controls=("random", "edges"),
        features="pixels",
        store=arguments.store,
        workers=arguments.workers,
        device="cpu",
        show_progress=True,
    )
    masks = run.own_masks(make=True)
    alike = run.trainings(run.rankings(make=True))["evaluator", 0]
    everything = replace(alike, spec=replace(alike.spec, recipe=alike.spec.recipe.with_(epochs=arguments.epochs)))
    gradient, random = masks["standard, label"], masked_at_random(test)
    alone = {("random", level): replace(alike, rankings=(), only=level) for level in KEPT}
    alone |= {("another image's gradient", level): replace(alike, rankings=(), only=level, only_ranks=gradient) for level in KEPT}
    alone |= {("its own edges", level): replace(alike, rankings=(), only=level, own=edges(train)) for level in KEPT}
    crew, store = local(run.grid.crew.store, torch.device("cpu")), run.grid.crew.store
    tasks = [(training, store) for training in (everything, *alone.values())]
    for _ in run_all(train_evaluator, tasks, len(tasks), backend=crew, workers=arguments.workers, title=data, show_progress=True):
        pass
    shown = {"random": random, "another image's gradient": np.roll(gradient.ranks, 1, axis=0), "its own edges": edges(test).ranks}
    rows = []
    for (family, level), training in alone.items():
        ranks = torch.from_numpy(np.ascontiguousarray(shown[family]))
        mask = kept(ranks, kept_count(level, ranks.shape[1]), "top").view(-1, 1, *test.shape[1:])
        ours, theirs = (bits_of(one, test, mask, store) for one in (everything, training))
        difference = theirs - ours
        half = 1.96 * float(difference.std(ddof=1)) / len(difference) ** 0.5
        rows.append(
            {
                "data": data,
                "family": family,
                "level": level,
                "evaluator": float(ours.mean()),
                "alone": float(theirs.mean()),
                "more": float(difference.mean()),
                "half": half,
            }
        )
        print(rows[-1], flush=True)
    return rows


def bits_of(training: EvaluatorTraining, test: ga.ImageSet, mask: torch.Tensor, store: ga.Store) -> np.ndarray:
    """Bits told by the values; or, of a network of every image's own masks, by values and choice alike."""
    evaluator: Evaluator = trained(training, store)
    if training.own is None:
        return evaluator.bits(test, mask)
    labels = test.labels.numpy()
    left = calibrated_bits(evaluator.logits(test, mask).numpy(), labels, evaluator.prior, 0)
    return -np.log2(evaluator.prior)[labels] - left


def masked_at_random(images: ga.ImageSet) -> np.ndarray:
    """Rankings that know nothing, of other numbers than the networks were trained under."""
    draws = torch.rand(len(images), *images.shape, generator=torch.Generator().manual_seed(12345))
    return rank(draws, 0, 12345, "pixels")


def edges(images: ga.ImageSet) -> PoolRanking:
    """Every image's own edges."""
    ranks = rank(attribute_all(None, images, "edges", device="cpu"), 0, 0, "pixels")
    return PoolRanking(ranks, fingerprint(ranks))


def as_markdown(folder: Path) -> str:
    """A row for each data set, family and level."""
    lines = ["| data | pixels kept | share | evaluator, bits | network of these alone, bits | more |", "|---|---|---|---|---|---|"]
    for data in SETS:
        if not (folder / f"{data}.json").exists():
            continue
        for row in json.loads((folder / f"{data}.json").read_text(encoding="utf-8"))["rows"]:
            lines.append(
                f"| {data} | {row['family']} | {100 * row['level']:g} % | {row['evaluator']:.3f} | {row['alone']:.3f} |"
                f" {row['more']:+.3f} ± {row['half']:.3f} |"
            )
    return "\n".join([*lines, "", f"One network each, 95 % intervals over test images. {versions()}", ""])


if __name__ == "__main__":
    main()
