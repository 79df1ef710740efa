"""The demo: standard and adversarial classifiers on embedded images, audited by DiffROAR and leakage, on one page."""

from __future__ import annotations

import os
import shlex
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gradaudit.classifiers import load_classifier
from gradaudit.datasets import blocks, load_images
from gradaudit.files import writable_folder
from gradaudit.images import ImageSet
from gradaudit.instruments.diffroar import diffroar
from gradaudit.instruments.leakage import leakage
from gradaudit.report import Pictures, gallery, write_page
from gradaudit.results import Result
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

DIGITS = (0, 1)  # of the blocks: two classes are learned in seconds
BLOCKS = {  # name: objective, position of the signal block
    "standard, on blocks": (RECIPES["standard"].objective, "random"),
    "adversarial, on blocks": (RECIPES["adversarial"].objective, "random"),
    "standard, on blocks, digit always on top": (RECIPES["standard"].objective, "top"),
}
BLOCK_EPOCHS = 20


def run_demo(
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    workers: Any = "auto",
    store: str | os.PathLike[str] | None = None,
    show_progress: bool = False,
) -> tuple[dict[str, Result], Path]:
    """The result of each classifier, and the page that shows them side by side: DiffROAR on digits, leakage on BlockMNIST.

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
    results: dict[str, Result] = {
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
    pictures = [gallery(classifiers, testing, controls=CONTROLS, seed=seed)]
    for position in dict.fromkeys(position for _, position in BLOCKS.values()):
        found, known, seen = _on_blocks(position, training, testing, seed, show_progress)
        results, facts = results | found, facts | known
        pictures.append(seen)
    for name, result in results.items():
        result.save(folder / name.replace(",", "").replace(" ", "_"))
    page = write_page(
        folder / "index.html",
        title="Can these classifiers' gradients be trusted?",
        results=results,
        pictures=pictures,
        facts=facts,
        command=shlex.join(["gradaudit", "demo", "--out", str(out), "--seed", str(seed)]),
        seconds=time.perf_counter() - start,
    )
    return results, page


def _on_blocks(
    position: str, training: ImageSet, testing: ImageSet, seed: int, show: bool
) -> tuple[dict[str, Result], dict[str, dict[str, str]], Pictures]:
    """Leakage of the classifiers of BlockMNIST with this position of the digit, what else is known of them, and pictures."""
    fitted, seen = (blocks(half, classes=DIGITS, position=position, seed=seed) for half in (training, testing))
    classifiers: dict[str, nn.Module] = {}
    results: dict[str, Result] = {}
    facts = {}
    for name in (name for name, (_, where) in BLOCKS.items() if where == position):
        recipe = Recipe(network="mlp", objective=BLOCKS[name][0], epochs=BLOCK_EPOCHS, seed=seed)
        classifiers[name] = train(recipe, fitted, device="cpu", show_progress=show)
        results[name] = result = leakage(classifiers[name], seen, controls=("random",), seed=seed, device="cpu")
        facts[name] = {
            "network": recipe.network,
            "objective": recipe.objective,
            "epochs": str(recipe.epochs),
            "accuracy": f"{result.accuracy:.3f}",
            "images": f"BlockMNIST, digits {DIGITS[0]} and {DIGITS[1]}, position of the digit: {position}",
        }
    return results, facts, gallery(classifiers, seen, count=4, seed=seed)


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
