"""Claim: the table of DiffROAR on full Fashion-MNIST in docs/retrain.md.

Standard and adversarial MLP, label logit gradient, 5 seeds, levels 5 to 90 %.

Run: `python benchmarks/fashion_mnist.py --data-dir DATA`. About 30 minutes on 2 cores; a stopped run continues.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch

import gradaudit as ga
from _record import save_figure, table_parser

LEVELS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
RECIPES = {
    "standard": ga.Recipe(network="mlp", epochs=5),
    "adversarial": ga.Recipe(network="mlp", objective="adversarial(norm=l2, eps=1.0, steps=7)", epochs=5),
}


def main() -> None:
    parser = table_parser(__file__, __doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3, help="of the learners")
    parser.add_argument("--train-images", type=int)
    parser.add_argument("--mask-only", action="store_true", help="also fit mask-only learners: twice the time")
    arguments = parser.parse_args()
    train, test = ga.load_images("fashion-mnist", folder=arguments.data_dir)
    train = train.sample(arguments.train_images) if arguments.train_images else train
    whole = arguments.out / "out"
    whole.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    for name, recipe in RECIPES.items():
        classifier = trained(whole / f"{name}.safetensors", recipe, train, test)
        result = ga.diffroar(
            classifier,
            train,
            test,
            evaluate="retrain",
            learner=ga.Recipe(network="mlp", epochs=arguments.epochs),
            levels=LEVELS,
            seeds=arguments.seeds,
            controls=("random", "blurred_random"),
            mask_only=arguments.mask_only,
            store=arguments.store,
            workers=arguments.workers,
            show_progress=True,
        )
        result.save(whole / name)
        if name == "adversarial":  # the one that docs/retrain.md shows
            save_figure(arguments.out / "adversarial.svg", result.plot())
        print(f"\n{name}: {result.verdict}")
        for caveat in result.verdict.caveats:
            print(f"  but {caveat}")
        print(result.summary.round(3).to_string(index=False))
    print(f"\n{time.perf_counter() - start:.0f} s; versions: {result.versions}")


def trained(path: Path, recipe: ga.Recipe, train: ga.ImageSet, test: ga.ImageSet) -> torch.nn.Module:
    """The classifier of this recipe, trained now unless an earlier run left it."""
    if not path.exists():
        classifier = ga.train(recipe, train, show_progress=True)
        ga.save_trained(path, classifier, recipe, train, accuracy=ga.measure_accuracy(classifier, test))
    classifier = ga.load_classifier(path)
    print(f"{path.stem}: test accuracy {ga.measure_accuracy(classifier, test):.4f}")
    return classifier


if __name__ == "__main__":
    main()
