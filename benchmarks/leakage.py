"""Claim: on BlockMNIST, gradients of standard networks leak into the null block, those of adversarial ones hardly do.

Full MNIST, five seeds (of the positions and of the training), five epochs: the share of the top 10 % of the coordinates, by the
label's logit gradient, that lies in the null block; chance is one half. Required: at least .40 for standard networks when the
signal's position is random, at most .25 for adversarial ones (L2, eps 2), at most .10 for the standard MLP when it is fixed (Top).
Run: `python benchmarks/leakage.py --data-dir DATA`. About 40 minutes on 2 cores; a stopped run continues.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import pandas as pd
from joblib import Parallel, delayed

import gradaudit as ga
from _blocks import TEN, TWO, data, over_seeds, parser, trained
from gradaudit.devices import one_thread
from gradaudit.files import write_text
from gradaudit.results import versions

JOBS = (  # classes, network, position, objective
    (TEN, "mlp", "random", "adversarial"),
    (TWO, "convnet", "random", "standard"),
    (TWO, "convnet", "top", "standard"),
    (TEN, "mlp", "random", "standard"),
    (TEN, "mlp", "top", "standard"),
    (TWO, "mlp", "random", "adversarial"),
    (TWO, "mlp", "random", "standard"),
    (TWO, "mlp", "top", "standard"),
    (TWO, "mlp", "top", "adversarial"),
    (TWO, "convnet", "random", "adversarial"),
)
SHOWN = ("null_top_0.1", "null_mass", "pointing", "auroc")


def main() -> None:
    arguments = parser(__file__, __doc__).parse_args()
    start = time.perf_counter()
    jobs = [(*job, seed) for job in JOBS for seed in range(arguments.seeds)]
    parts = Parallel(n_jobs=arguments.workers, return_as="generator_unordered")(delayed(measured)(arguments, *job) for job in jobs)
    rows: list[dict[str, Any]] = []
    for number, part in enumerate(parts, 1):
        rows += part
        first = next(row for row in part if row["measure"] == "null_top_0.1")
        about = " ".join(str(first[name]) for name in ("classes", "network", "position", "objective", "seed"))
        print(f"{number}/{len(jobs)}, {time.perf_counter() - start:.0f} s: {about}: {first['value']:.3f}", flush=True)
    table = pd.DataFrame(rows).sort_values(["classes", "network", "position", "objective", "measure", "seed"], ignore_index=True)
    write_text(arguments.out / "leakage.csv", table.to_csv(index=False))
    summary = over_seeds(table, ["classes", "network", "position", "objective", "measure"])
    for name in SHOWN:
        print(f"\n{name}")
        print(summary[summary["measure"] == name].drop(columns="measure").round(3).to_string(index=False))
    print(f"\n{arguments.out}; {time.perf_counter() - start:.0f} s, {versions()}")


def measured(
    arguments: argparse.Namespace, classes: tuple[int, ...], network: str, position: str, objective: str, seed: int
) -> list[dict[str, Any]]:
    """A row for each measure, of the classifier and of a random ranking."""
    with one_thread():
        train, test = data(arguments, classes, seed, position=position)
        classifier = trained(arguments, network, objective, train, seed)
        result = ga.leakage(classifier, test, controls=(), seed=seed, device="cpu")
    own = {"classes": len(classes), "network": network, "position": position, "objective": objective, "seed": seed}
    accuracy = {**own, "measure": "accuracy", "value": result.details["accuracy"]}
    return [accuracy, *({**own, "measure": row["measure"], "value": row["value"]} for row in result.table.to_dict("records"))]


if __name__ == "__main__":
    main()
