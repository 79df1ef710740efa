"""Claim: what leaks with the gradient leaks with its kin: attribution methods beside each other on the same networks.

BlockMNIST (two classes, random position), the classifiers of `leakage.py`: the share of the top 10 % of the coordinates that lies
in the null block, method by network, means over seeds.
Run: `python benchmarks/leakage_methods.py --data-dir DATA`. About 10 minutes on 2 cores after `leakage.py`, whose classifiers
it finds in the store.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import pandas as pd
from joblib import Parallel, delayed

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
NETWORKS, OBJECTIVES = ("mlp", "convnet"), ("standard", "adversarial")


def main() -> None:
    own = parser(__file__, __doc__)
    own.set_defaults(test_images=300)
    arguments = own.parse_args()
    start = time.perf_counter()
    jobs = [(network, one, seed) for network in NETWORKS for one in OBJECTIVES for seed in range(arguments.seeds)]
    parts = Parallel(n_jobs=arguments.workers)(delayed(measured)(arguments, *job) for job in jobs)
    table = pd.DataFrame([row for part in parts for row in part])
    write_text(arguments.out / "leakage_methods.csv", table.to_csv(index=False))
    summary = over_seeds(table, ["attribution", "network", "objective"])
    summary["network"] += ", " + summary["objective"]
    for column in ("mean", "low", "high"):
        print(f"\n{column}")
        print(summary.pivot_table(index="attribution", columns="network", values=column, sort=False).round(3).to_string(na_rep=""))
    print(f"\n{arguments.out}; {time.perf_counter() - start:.0f} s, {versions()}")


def measured(arguments: argparse.Namespace, network: str, objective: str, seed: int) -> list[dict[str, Any]]:
    """A row for each method."""
    with one_thread():
        train, test = data(arguments, TWO, seed, position="random")
        classifier = trained(arguments, network, objective, train, seed)
        methods = METHODS | ({"Grad-CAM": "captum(method=LayerGradCam)"} if network == "convnet" else {})
        result = ga.leakage(
            classifier, test, attribution=[{name: one} for name, one in methods.items()], top=0.1, seed=seed, device="cpu"
        )
    own = {"network": network, "objective": objective, "seed": seed}
    rows = result.table[result.table["measure"] == "null_top_0.1"]
    return [{**own, "attribution": row["attribution"], "value": row["value"]} for row in rows.to_dict("records")]


if __name__ == "__main__":
    main()
