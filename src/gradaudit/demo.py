"""The demo: a standard and an adversarial classifier on embedded images, both audited, on one page."""

from __future__ import annotations

import os
import shlex
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gradaudit.classifiers import load_classifier
from gradaudit.datasets import load_images
from gradaudit.files import writable_folder
from gradaudit.images import ImageSet
from gradaudit.instruments.diffroar import DiffROARResult, diffroar
from gradaudit.report import gallery, write_page
from gradaudit.training import Recipe, measure_accuracy, pgd, save_trained, train

RECIPES = {
    "standard": Recipe(network="mlp", epochs=8),
    "adversarial": Recipe(network="mlp", objective="adversarial(norm=l2, eps=2.0, steps=7)", epochs=12),
}
LEARNER = Recipe(network="mlp", epochs=4)
LEVELS = (0.02, 0.1, 0.2, 0.4)
SEEDS = 3
CONTROLS = ("random", "blurred_random", "edges")
EPS = 2.0


def run_demo(
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    workers: Any = "auto",
    store: str | os.PathLike[str] | None = None,
    show_progress: bool = False,
) -> tuple[dict[str, DiffROARResult], Path]:
    """The DiffROAR result of each classifier, and the page that shows them side by side.

    Args:
        out: folder for the page, the tables and the classifiers.
        seed: every random draw comes from it.
        workers: fits at once, or `"auto"`.
        store: folder for finished fits; inside `out` unless given.
        show_progress: print progress to standard error.

    Raises:
        InputError: `out` can't be written.
    """
    folder = writable_folder("out", out)
    training, testing = load_images("mnist5k", seed=seed)
    start = time.perf_counter()
    classifiers, facts = {}, {}
    for name, recipe in RECIPES.items():
        classifiers[name], facts[name] = _trained(
            folder / f"{name}.safetensors", recipe.with_(seed=seed), training, testing, show_progress
        )
    results = {
        name: diffroar(
            classifier,
            training,
            testing,
            learner=LEARNER,
            levels=LEVELS,
            seeds=SEEDS,
            controls=CONTROLS,
            seed=seed,
            store=folder / "store" if store is None else store,
            workers=workers,
            device="cpu",
            show_progress=show_progress,
        )
        for name, classifier in classifiers.items()
    }
    for name, result in results.items():
        result.save(folder / name)
    page = write_page(
        folder / "index.html",
        title="Can these classifiers' gradients be trusted?",
        results=results,
        pictures=gallery(classifiers, testing, controls=CONTROLS, seed=seed),
        facts=facts,
        command=shlex.join(["gradaudit", "demo", "--out", str(out), "--seed", str(seed)]),
        seconds=time.perf_counter() - start,
    )
    return results, page


def _trained(path: Path, recipe: Recipe, training: ImageSet, testing: ImageSet, show: bool) -> tuple[nn.Module, dict[str, str]]:
    classifier = train(recipe, training, device="cpu", show_progress=show)
    share = measure_accuracy(classifier, testing, device="cpu")
    save_trained(path, classifier, recipe, training, accuracy=share)
    classifier = load_classifier(path)
    attacked = pgd(classifier, testing.floats(), testing.labels, norm="l2", eps=EPS, steps=20, random_start=False)
    with torch.no_grad():
        robust = (classifier(attacked).argmax(dim=1) == testing.labels).float().mean().item()
    facts = {
        "network": recipe.network,
        "objective": recipe.objective,
        "epochs": str(recipe.epochs),
        "accuracy": f"{share:.3f}",
        f"accuracy under PGD, L2 {EPS:g}, 20 steps": f"{robust:.3f}",
    }
    return classifier, facts
