"""Claim: with a gradient penalty, a network with a smooth activation is more robust than the same network with ReLU.

LeNet-5 on MNIST with ReLU, SiLU, GELU, softplus, and softplus with a trained beta, at several strengths of the penalty: clean
accuracy and accuracy under PGD (20 steps) for Linf and L2. Each activation is shown at every strength, and at its best:
the highest PGD accuracy among the strengths that cost at most 1 point of its clean accuracy without a penalty.
Run: `python benchmarks/smooth_activations.py --data-dir DATA`. About 20 minutes on 2 cores; a stopped run continues.
"""

from __future__ import annotations

import time
from typing import Any

import pandas as pd
from joblib import Parallel, delayed

import gradaudit as ga
from _record import table_parser
from gradaudit.devices import one_thread
from gradaudit.files import write_text
from gradaudit.results import versions

ACTIVATIONS = ("relu", "silu", "gelu", "softplus(beta=10)", "softplus(beta=10, learnable=true)")
STRENGTHS = (0.0, 0.1, 0.3, 1.0, 3.0)
RADII = {"linf": (0.1,), "l2": (1.5,)}
DECIDES = ("linf", 0.1)


def main() -> None:
    parser = table_parser(__file__, __doc__)
    parser.add_argument("--train-images", type=int, default=20_000)
    parser.add_argument("--test-images", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    train, test = ga.load_images("mnist", folder=arguments.data_dir)
    train, test = train.sample(arguments.train_images), test.sample(arguments.test_images)
    store = ga.Store(arguments.store)
    start = time.perf_counter()
    jobs = [(activation, strength, seed) for activation in ACTIVATIONS for strength in STRENGTHS for seed in range(arguments.seeds)]
    parts = Parallel(n_jobs=arguments.workers, return_as="generator_unordered")(
        delayed(measured)(*job, arguments.epochs, train, test, store) for job in jobs
    )
    rows = []
    for number, part in enumerate(parts, 1):
        rows += part
        print(f"{number}/{len(jobs)}, {time.perf_counter() - start:.0f} s: {part[0]['activation']}, {part[0]['strength']:g}")
    table = pd.DataFrame(rows).sort_values(["activation", "strength", "seed", "norm", "eps"], ignore_index=True)
    write_text(arguments.out / "smooth_activations.csv", table.to_csv(index=False))
    shown = table.pivot_table(index=["activation", "strength"], columns=["norm", "eps"], values="accuracy").round(3)
    print(shown.to_string())
    print(f"\nat its best by PGD {DECIDES[0]} {DECIDES[1]:g}, for at most 1 point of accuracy:")
    print(best(shown).to_string())
    print(f"{arguments.out}; {time.perf_counter() - start:.0f} s, {versions()}")


def measured(
    activation: str, strength: float, seed: int, epochs: int, train: ga.ImageSet, test: ga.ImageSet, store: ga.Store
) -> list[dict[str, Any]]:
    """A row for each norm and radius."""
    recipe = ga.named_recipe(
        "mnist/gradient-penalty",
        network={"name": "lenet5", "activation": activation},
        objective={"name": "gradient_penalty", "strength": strength},
        ramp=0.3,
        epochs=epochs,
        seed=seed,
    )
    own = {"activation": activation, "strength": strength, "seed": seed}
    rows = []
    with one_thread():
        classifier = ga.train_once(recipe, train, store=store, device="cpu")
        for norm, radii in RADII.items():
            options = {"norm": norm, "eps": (0.0, *radii), "attack": "pgd", "steps": 20, "device": "cpu"}
            table = ga.robustness(classifier, test, store=store, **options).table
            rows += [
                {**own, "norm": norm, "eps": row["eps"], "accuracy": row["accuracy"], "low": row["low"], "high": row["high"]}
                for row in table[table["attack"].str.startswith("pgd")].to_dict("records")
            ]
    return rows


def best(shown: pd.DataFrame) -> pd.DataFrame:
    """For each activation, its row of highest PGD accuracy among those whose clean accuracy is good enough."""
    rows = []
    for activation, part in shown.groupby(level="activation"):
        clean = part[(DECIDES[0], 0.0)]
        fair = part[clean >= clean.xs(0.0, level="strength").iloc[0] - 0.01]
        rows.append(fair.loc[[(activation, fair[DECIDES].idxmax()[1])]])
    return pd.concat(rows)


if __name__ == "__main__":
    main()
