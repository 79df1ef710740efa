"""Claim: on MNIST with a distractor, robust networks are sensitive to noise on the digit, standard ones on the distractor too.

Blocks of full MNIST beside a fixed letter, random position, ten classes, an MLP, standard and adversarial (L2, eps 2): how much
noise of 30 deviations from 0.01 to 10, on the digit's block alone and on the letter's alone, changes the softmax output (L1), and
their ratio.
Run: `python benchmarks/distractor.py --data-dir DATA`. About 5 minutes on 2 cores; a stopped run continues its trainings.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from matplotlib.figure import Figure

import gradaudit as ga
from _blocks import TEN, data, over_seeds, parser, trained
from _record import save_figure
from gradaudit.devices import one_thread
from gradaudit.files import write_text
from gradaudit.results import versions

DEVIATIONS = tuple(float(f"{std:.4g}") for std in np.geomspace(0.01, 10, 30))
OBJECTIVES = ("standard", "adversarial")


def main() -> None:
    own = parser(__file__, __doc__)
    own.set_defaults(test_images=1000, seeds=3)
    arguments = own.parse_args()
    start = time.perf_counter()
    jobs = [(objective, seed) for objective in reversed(OBJECTIVES) for seed in range(arguments.seeds)]
    table = pd.concat(Parallel(n_jobs=arguments.workers)(delayed(measured)(arguments, *job) for job in jobs))
    write_text(arguments.out / "distractor.csv", table.to_csv(index=False))
    by = ["objective", "std"]
    ratios, null, signal = (over_seeds(table, by, name) for name in ("ratio", "null", "signal"))
    changes = null.merge(signal, on=by, suffixes=("_null", "_signal"))
    print(ratios.merge(changes, on=by).round(4).to_string(index=False))
    save_figure(arguments.out / "distractor.svg", drawn(ratios, changes))
    print(f"{arguments.out}; {time.perf_counter() - start:.0f} s, {versions()}")


def measured(arguments: argparse.Namespace, objective: str, seed: int) -> pd.DataFrame:
    """A row for each deviation: the changes by noise on the digit and on the letter, and their ratio."""
    with one_thread():
        train, test = data(arguments, TEN, seed, null="letter(A)")
        classifier = trained(arguments, "mlp", objective, train, seed)
        result = ga.sensitivity(classifier, test, std=DEVIATIONS, samples=4, seed=seed, device="cpu")
    changes = result.table.pivot_table(index="std", columns="part", values="change").reset_index()
    changes["ratio"] = changes["signal"] / changes["null"]
    return changes.assign(objective=objective, seed=seed)


def drawn(ratios: pd.DataFrame, changes: pd.DataFrame) -> Figure:
    """Left the changes, right their ratio, against the noise."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for place, objective in enumerate(OBJECTIVES):
        rows, both = ratios[ratios["objective"] == objective], changes[changes["objective"] == objective]
        right.plot(rows["std"], rows["mean"], color=f"C{place}", label=objective)
        right.fill_between(rows["std"], rows["low"], rows["high"], color=f"C{place}", alpha=0.2, linewidth=0)
        for part, line in (("signal", "-"), ("null", ":")):
            label = f"{objective}, noise on the {'digit' if part == 'signal' else 'letter'}"
            left.plot(both["std"], both[f"mean_{part}"], line, color=f"C{place}", label=label)
    left.set(xscale="log", yscale="log", xlabel="noise, standard deviation", ylabel="change of the softmax (L1)")
    right.set(xscale="log", yscale="log", xlabel="noise, standard deviation", ylabel="change by digit / change by letter")
    right.axhline(1, color="0.5", linewidth=0.8)
    left.legend(fontsize="small")
    right.legend(fontsize="small")
    return figure


if __name__ == "__main__":
    main()
