"""Leakage as command, audit and page ask for it: on images whose signal is known, or on blocks made of the audit's images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from gradaudit.datasets import blocks
from gradaudit.devices import seeded
from gradaudit.errors import InputError, require
from gradaudit.images import ImageSet
from gradaudit.instruments.contract import Instrument, Score
from gradaudit.instruments.costs import Cost
from gradaudit.instruments.leakage.audit import leakage
from gradaudit.instruments.leakage.masks import read_mask
from gradaudit.instruments.leakage.options import ABOUT, LeakageCommand, LeakageInAudit, LeakageOptions
from gradaudit.instruments.leakage.result import LeakageResult
from gradaudit.instruments.leakage.section import leakage_section
from gradaudit.instruments.leakage.sensitivity_result import SensitivityResult
from gradaudit.instruments.setup import Setup, at_most
from gradaudit.markup.gallery import gallery_of
from gradaudit.markup.pictures import Pictures
from gradaudit.markup.section import Section
from gradaudit.results import Result, Verdict
from gradaudit.training import Recipe, train_once

CLASSES = 2  # of the blocks, the first ones: learned in seconds, and the papers' case


class Leakage(Instrument):
    """Leakage."""

    about = ABOUT
    results = (LeakageResult, SensitivityResult)

    def commanded(self, setup: Setup, options: LeakageCommand, words: Mapping[str, Any]) -> tuple[Setup, LeakageCommand]:
        """The images with the masks of the file."""
        given = [one for one in (options.attribution if isinstance(options.attribution, list) else []) if one.endswith(".npy")]
        expected = f"left out, as the scores in {', '.join(given)} are those of all test images in their order"
        require(words["test_images"] is None or not given, "--test-images", words["test_images"], expected)
        test = setup.test
        if options.masks is not None:
            test = ImageSet(test.images, test.labels, test.classes, read_mask(options.masks, test))
        expected = (
            "given, as these images have no signal mask: a file of masks or boxes; or give data that has masks, "
            'such as "blocks(of=mnist5k)" or an .npz with test_signal_mask'
        )
        require(test.signal_mask is not None, "--masks", None, expected)
        return replace(setup, test=test), options

    def lacks(self, setup: Setup, name: str, options: LeakageOptions) -> str | None:
        """The part of the images that carries the label must be known, or the classifier's recipe, to make such images for it."""
        if setup.test.signal_mask is not None:
            return None
        recipe = setup.recipes.get(name)
        if recipe is None:
            return (
                "the images have no signal mask, and the classifier's recipe is not known, so that it can't be trained on blocks"
                " instead; `gradaudit leakage` takes masks and boxes of your own"
            )
        for part, images in (("training", setup.train), ("test", setup.test)):
            if _classes(images) < CLASSES:
                first = " and ".join(images.classes[:CLASSES])
                return (
                    f"the images have no signal mask, and blocks need images of the classes {first}, which the {part} images lack"
                )
        try:
            _network(setup, recipe)
        except InputError as error:
            return f"the images have no signal mask, and a network of this recipe does not take blocks of them ({error})"
        return None

    def measure(self, setup: Setup, name: str, options: Any) -> Result:
        """Leakage's result; where it is that of a classifier trained on blocks by the same recipe, it says so first."""
        words = setup.keywords(options, LeakageOptions)
        if setup.test.signal_mask is not None:
            return leakage(setup.classifiers[name], setup.images_for(options), **words)
        return _on_blocks(setup, name, options, words)

    def uses(self, setup: Setup, name: str, options: LeakageInAudit) -> dict[str, Any]:
        """What the classifier on blocks is made of, where the images have no signal mask."""
        if setup.test.signal_mask is not None:
            return {}
        return {"train": setup.train.fingerprint, "recipe": setup.recipes[name].key(setup.run.device)}

    def cost(self, setup: Setup, name: str, options: Any) -> Cost:
        """A training on blocks where there is no signal mask, and a gradient an image."""
        count = len(setup.images_for(options))
        if setup.test.signal_mask is not None:
            return Cost(gradients=count)
        share = CLASSES / len(setup.train.classes)
        attack = int(setup.recipes[name].objective_options().get("steps", 0))
        return Cost(networks=1, gradients=count + int(2 * share * len(setup.train) * options.epochs * (1 + attack)))

    def scores(self, result: LeakageResult) -> dict[str, Score]:
        """The share of the top-ranked features in the null blocks that the verdict is about."""
        row: Any = result.rows(result.deciding_measure).loc[result.audited[0]]
        words = f"top {100 * result.level:.4g} % outside the signal"
        return {words: Score.of(row, -1)}

    def section(self, results: Mapping[str, LeakageResult]) -> Section:
        """Its section."""
        return leakage_section(results)

    def pictures(self, setup: Setup, name: str, options: Any, result: LeakageResult) -> Pictures:
        """Some images with the first attribution."""
        return gallery_of(result, name, setup.classifiers[name], setup.test, options.attribution)


def _on_blocks(setup: Setup, name: str, options: LeakageInAudit, words: Mapping[str, Any]) -> Result:
    recipe = setup.recipes[name].with_(epochs=options.epochs, seed=setup.run.seed)
    training, testing = _blocks(setup.train, setup.run.seed), _blocks(setup.test, setup.run.seed)
    testing = at_most(testing, options.images, setup.run.seed)
    trained = train_once(recipe, training, store=setup.run.store, device=setup.run.device, show_progress=setup.run.show_progress)
    result = leakage(trained, testing, **words)
    said = (
        f"the images have no known signal, so this is about a classifier trained by the same recipe, for {options.epochs} epochs,"
        f" on blocks made of {len(training):,} of them"
    )
    verdict = Verdict(result.verdict.label, result.verdict.sentence, (said, *result.verdict.caveats))
    return replace(result, verdict=verdict, settings=result.settings | {"trained_on": "blocks", "recipe": recipe.model_dump()})


def _blocks(images: ImageSet, seed: int) -> ImageSet:
    return blocks(images, classes=tuple(range(min(CLASSES, len(images.classes)))), seed=seed)


def _classes(images: ImageSet) -> int:
    """How many of the blocks' classes occur."""
    return int((images.labels.bincount(minlength=CLASSES)[:CLASSES] > 0).sum())


def _network(setup: Setup, recipe: Recipe) -> nn.Module:
    channels, height, width = setup.train.shape
    with seeded(setup.run.seed, setup.run.device):
        return recipe.build((channels, 2 * height, width), CLASSES)


INSTRUMENT = Leakage()
