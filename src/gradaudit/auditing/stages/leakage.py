"""Leakage in the audit: on images whose signal is known, or on blocks that a classifier of the same recipe is trained on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from gradaudit.auditing.bench import Bench, at_most
from gradaudit.auditing.costs import Cost
from gradaudit.auditing.settings import options_taken
from gradaudit.auditing.stages._stage import Options, Score, Stage
from gradaudit.datasets import blocks
from gradaudit.devices import seeded
from gradaudit.errors import InputError
from gradaudit.images import ImageSet
from gradaudit.instruments.leakage import LeakageResult, leakage
from gradaudit.results import Result, Verdict
from gradaudit.training import Recipe, train_once

CLASSES = 2  # of the blocks, the first ones: learned in seconds, and the papers' case
EPOCHS = 10


def lacks(bench: Bench, name: str, options: Options) -> str | None:
    """The part of the images that carries the label must be known, or the classifier's recipe, to make such images for it."""
    if bench.test.signal_mask is not None:
        return None
    recipe = bench.recipes.get(name)
    if recipe is None:
        return (
            "the images have no signal mask, and the classifier's recipe is not known, so that it can't be trained on blocks"
            " instead; `gradaudit leakage` takes masks and boxes of your own"
        )
    for part, images in (("training", bench.train), ("test", bench.test)):
        if _classes(images) < CLASSES:
            first = " and ".join(images.classes[:CLASSES])
            return f"the images have no signal mask, and blocks need images of the classes {first}, which the {part} images lack"
    try:
        _network(bench, recipe)
    except InputError as error:
        return f"the images have no signal mask, and a network of this recipe does not take blocks of them ({error})"
    return None


def run(bench: Bench, name: str, options: Options) -> Result:
    """Leakage's result; where it is that of a classifier trained on blocks by the same recipe, it says so first."""
    given = dict(options)
    epochs = int(given.pop("epochs", EPOCHS))
    count = given.pop("images", None)
    if bench.test.signal_mask is not None:
        return _measured(bench, bench.classifiers[name], bench.tested(count), given)
    recipe = bench.recipes[name].with_(epochs=epochs, seed=bench.seed)
    training, testing = _blocks(bench.train, bench.seed), _blocks(bench.test, bench.seed)
    testing = at_most(testing, count, bench.seed)
    trained = train_once(recipe, training, store=bench.store, device=bench.device, show_progress=bench.show_progress)
    result = _measured(bench, trained, testing, given)
    said = (
        f"the images have no known signal, so this is about a classifier trained by the same recipe, for {epochs} epochs, on blocks"
        f" made of {len(training):,} of them"
    )
    verdict = Verdict(result.verdict.label, result.verdict.sentence, (said, *result.verdict.caveats))
    return replace(result, verdict=verdict, settings=result.settings | {"trained_on": "blocks", "recipe": recipe.model_dump()})


def _measured(bench: Bench, classifier: nn.Module, images: ImageSet, options: Options) -> LeakageResult:
    return leakage(classifier, images, **options, seed=bench.seed, device=bench.device, show_progress=bench.show_progress)


def _blocks(images: ImageSet, seed: int) -> ImageSet:
    return blocks(images, classes=tuple(range(min(CLASSES, len(images.classes)))), seed=seed)


def _classes(images: ImageSet) -> int:
    """How many of the blocks' classes occur."""
    return int((images.labels.bincount(minlength=CLASSES)[:CLASSES] > 0).sum())


def _network(bench: Bench, recipe: Recipe) -> nn.Module:
    channels, height, width = bench.train.shape
    with seeded(bench.seed, bench.device):
        return recipe.build((channels, 2 * height, width), CLASSES)


def uses(bench: Bench, name: str, options: Options) -> dict[str, Any]:
    """What the classifier on blocks is made of, where the images have no signal mask."""
    if bench.test.signal_mask is not None:
        return {}
    return {"train": bench.train.fingerprint, "recipe": bench.recipes[name].model_dump()}


def cost(bench: Bench, name: str, options: Options) -> Cost:
    """A training on blocks where there is no signal mask, and a gradient an image."""
    count = len(bench.tested(options.get("images")))
    if bench.test.signal_mask is not None:
        return Cost(gradients=count)
    share = CLASSES / len(bench.train.classes)
    attack = int(bench.recipes[name].objective_options().get("steps", 0))
    steps = int(options.get("epochs", EPOCHS)) * (1 + attack)
    return Cost(networks=1, gradients=count + int(2 * share * len(bench.train) * steps))


def scores(result: Result) -> dict[str, Score]:
    """The share of the top-ranked features in the null blocks that the verdict is about."""
    assert isinstance(result, LeakageResult)
    row: Any = result.rows(result.deciding_measure).loc[result.audited[0]]
    words = f"top {100 * result.level:.4g} % outside the signal"
    return {words: Score(float(row["value"]), float(row["low"]), float(row["high"]), -1)}


STAGE = Stage("leakage", frozenset(options_taken(leakage, "images", "epochs") - {"signal_mask"}), lacks, run, uses, cost, scores)
