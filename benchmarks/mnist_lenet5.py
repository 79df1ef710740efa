"""Claim: DiffROAR of two LeNet-5s that others trained gives the accuracies measured before, within 0.03.

20,000 MNIST training images, an MLP learner (784-512-512-10, 4 epochs, peak learning rate 0.05), the label's logit gradient,
5 seeds, the full test set. Run: `python benchmarks/mnist_lenet5.py --data-dir DATA --weights-dir WEIGHTS`.
About 10 minutes on 2 cores; a stopped run continues.
"""

from __future__ import annotations

import os
from pathlib import Path

import gradaudit as ga
from _record import RESULTS, Row, benchmark_parser, recording, save_figure

ALLOWED = 0.03
SHOWN = ("standard", "label")  # on docs/retrain.md
LEVELS = (0.02, 0.05, 0.1, 0.2, 0.4)
# Accuracies of an independent implementation, 2 seeds (mask-only: 1 seed), of the same protocol.
BEFORE = {
    "standard": {"top": (0.927, 0.964, 0.971, 0.961, 0.951), "bottom": (0.113, 0.145, 0.184, 0.366, 0.698)},
    "adversarial": {"top": (0.705, 0.837, 0.913, 0.946, 0.949), "bottom": (0.113, 0.113, 0.113, 0.113, 0.121)},
}
MASK_BEFORE = {  # at 10 %
    ("standard", "label"): (0.989, 1.000),
    ("standard", "predicted"): (0.978, 0.988),
    ("adversarial", "label"): (0.907, 0.995),
    ("adversarial", "predicted"): (0.906, 0.980),
}
FILES = {"standard": "mnist_lenet5_clntrained.pt", "adversarial": "mnist_lenet5_advtrained.pt"}


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--data-dir", default=os.environ.get("GRADAUDIT_DATA"), help="holds mnist/")
    parser.add_argument("--weights-dir", default=os.environ.get("GRADAUDIT_WEIGHTS"), help=f"holds {', '.join(FILES.values())}")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS / "mnist_lenet5")
    arguments = parser.parse_args()
    train, test = ga.load_images("mnist", folder=arguments.data_dir)
    train = train.sample(20_000, seed=0)
    if arguments.short:
        train, test, arguments.seeds = train.sample(1000), test.sample(500), 1
    recipe = ga.Recipe(network="mlp", epochs=4, learning_rate=0.05)
    worst = 0.0
    with recording(__file__, __doc__, arguments) as rows:
        for target in ("label", "predicted"):
            for name, file in FILES.items():
                classifier = ga.load_classifier("lenet5", Path(arguments.weights_dir) / file)
                levels = LEVELS if target == "label" else (0.1,)
                options = {"learner": recipe, "levels": levels, "seeds": arguments.seeds, "target": target, "show_progress": True}
                result = ga.diffroar(
                    classifier, train, test, evaluate="retrain", controls=("random", "blurred_random", "edges"), **options
                )
                if not arguments.short:
                    result.save(arguments.out / "out" / f"{name}_{target}")
                if not arguments.short and (name, target) == SHOWN:
                    save_figure(arguments.out / f"{name}.svg", result.plot())
                print(f"\n{name} LeNet-5, gradient of the {target}'s logit: {result.verdict}")
                print(result.summary.round(3).to_string(index=False))
                worst = max(worst, compare(result, name, target))
        rows.append(Row("largest distance from the accuracies measured before, at 5, 10 and 20 %", worst, at_most=ALLOWED))
    print(f"\nlargest distance from the accuracies measured before, at 5, 10 and 20 %: {worst:.3f} (allowed: {ALLOWED})")


def compare(result: ga.DiffROARResult, name: str, target: str) -> float:
    rows = result.summary[result.summary["attribution"] == "logit_gradient"].set_index("level")
    distances = [
        abs(rows.loc[level, f"mask_{side}"] - before)
        for side, before in zip(("top", "bottom"), MASK_BEFORE[name, target], strict=True)
        for level in (0.1,)
    ]
    if target == "label":
        for side, before in BEFORE[name].items():
            distances += [abs(rows.loc[LEVELS[place], side] - before[place]) for place in (1, 2, 3)]
        random = result.summary[result.summary["attribution"] == "random"]["mean"].abs().max()
        print(f"random ranking: largest mean DiffROAR {random:.3f} (allowed: 0.02)")
    return max(distances)


if __name__ == "__main__":
    main()
