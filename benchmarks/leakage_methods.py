"""Claim: what leaks with the gradient leaks with its kin: attribution methods beside each other on the same networks.

BlockMNIST (two classes, random position), the classifiers of `leakage.py`: the share of the top 10 % of the coordinates that lies
in the null block, method by network, means over seeds.
Run: `python benchmarks/leakage_methods.py --data-dir DATA`. About 10 minutes on 2 cores after `leakage.py`, whose classifiers
it finds in the store, and an autoencoder of the blocks for each seed besides (`--methods` leaves methods out).
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import pandas as pd
from joblib import Parallel, delayed
from torch import nn

import gradaudit as ga
from _blocks import TWO, data, over_seeds, parser, trained
from gradaudit.devices import one_thread
from gradaudit.files import write_text
from gradaudit.results import versions

METHODS = {
    "gradient": "logit_gradient",
    "input x gradient": "captum(method=InputXGradient)",
    "integrated gradients": "integrated_gradients",
    "SmoothGrad": "smoothgrad",
    "guided backprop": "captum(method=GuidedBackprop)",
    "DeepLift": "captum(method=DeepLift)",
    "occlusion": "captum(method=Occlusion, sliding_window_shapes=7, strides=7)",
}
MANIFOLD = {"along latents": 0, "along the manifold": 30}  # integrated gradients by the sweeps that straighten the decoded path
NETWORKS, OBJECTIVES = ("mlp", "convnet"), ("standard", "adversarial")
LATENT, EPOCHS = 32, 8  # of the autoencoder


def main() -> None:
    own = parser(__file__, __doc__)
    own.add_argument("--methods", nargs="+", default=[*METHODS, "Grad-CAM", *MANIFOLD], help="those that are compared")
    own.add_argument("--objectives", nargs="+", default=OBJECTIVES, choices=OBJECTIVES)
    own.set_defaults(test_images=300)
    arguments = own.parse_args()
    start = time.perf_counter()
    seeds = range(arguments.seeds)
    jobs = [(network, one, seed) for network in NETWORKS for one in arguments.objectives for seed in seeds]
    with Parallel(n_jobs=arguments.workers) as parallel:
        along = {*MANIFOLD} & {*arguments.methods}
        coders = parallel(delayed(coder)(arguments, seed) for seed in seeds) if along else [None] * len(seeds)
        parts = parallel(delayed(measured)(arguments, *job, coders[job[-1]]) for job in jobs)
    table = pd.DataFrame([row for part in parts for row in part])
    write_text(arguments.out / "leakage_methods.csv", table.to_csv(index=False))
    summary = over_seeds(table, ["attribution", "network", "objective"])
    summary["network"] += ", " + summary["objective"]
    for column in ("mean", "low", "high"):
        print(f"\n{column}")
        print(summary.pivot_table(index="attribution", columns="network", values=column, sort=False).round(3).to_string(na_rep=""))
    print(f"\n{arguments.out}; {time.perf_counter() - start:.0f} s, {versions()}")


def coder(arguments: argparse.Namespace, seed: int) -> nn.Module:
    """An autoencoder of the blocks."""
    with one_thread():
        train, _ = data(arguments, TWO, seed, position="random")
        return ga.train_autoencoder(train, latent=LATENT, epochs=EPOCHS, seed=seed, device="cpu")


def measured(
    arguments: argparse.Namespace, network: str, objective: str, seed: int, autoencoder: nn.Module | None
) -> list[dict[str, Any]]:
    """A row for each method."""
    with one_thread():
        train, test = data(arguments, TWO, seed, position="random")
        classifier = trained(arguments, network, objective, train, seed)
        methods: dict[str, Any] = METHODS | ({"Grad-CAM": "captum(method=LayerGradCam)"} if network == "convnet" else {})
        along = {"name": "manifold_integrated_gradients", "autoencoder": autoencoder}
        methods |= {name: along | {"sweeps": sweeps} for name, sweeps in MANIFOLD.items()}
        asked = [{name: one} for name, one in methods.items() if name in arguments.methods]
        result = ga.leakage(classifier, test, attribution=asked, top=0.1, seed=seed, device="cpu")
    own = {"network": network, "objective": objective, "seed": seed}
    rows = result.table[result.table["measure"] == "null_top_0.1"]
    return [{**own, "attribution": row["attribution"], "value": row["value"]} for row in rows.to_dict("records")]


if __name__ == "__main__":
    main()
