"""Leakage as command, audit and page ask for it: on images whose signal is known, or on blocks made of the audit's images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from gradaudit.attributions import Attribution, named_attributions, named_controls
from gradaudit.batching import batch_size_for, bytes_per_image
from gradaudit.classifiers import class_count, classifier_fingerprint
from gradaudit.datasets import blocks
from gradaudit.devices import one_thread, seeded
from gradaudit.errors import InputError, first_line, require
from gradaudit.images import ImageSet
from gradaudit.instruments.contract import Evidence, Instrument, Score
from gradaudit.instruments.costs import GRADIENT, Cost, mapping, second_call
from gradaudit.instruments.leakage.audit import leakage
from gradaudit.instruments.leakage.masks import read_mask
from gradaudit.instruments.leakage.measures import measure, null_top
from gradaudit.instruments.leakage.options import ABOUT, LeakageCommand, LeakageInAudit, LeakageOptions
from gradaudit.instruments.leakage.result import LeakageResult
from gradaudit.instruments.leakage.section import leakage_section
from gradaudit.instruments.leakage.sensitivity_result import SensitivityResult
from gradaudit.instruments.setup import Setup, at_most
from gradaudit.markup.gallery import gallery_of
from gradaudit.markup.pictures import Pictures
from gradaudit.markup.section import Section
from gradaudit.packing import unpack
from gradaudit.results import Result, Verdict
from gradaudit.training import Recipe, train_once
from gradaudit.training.sizing import bytes_of_training
from gradaudit.training.trained import draw_from

PLANTED = 0.1  # the share of the features that counts as top-ranked in a planted map's quality
BLOCKS = 2  # bytes for each pixel of the images: of the blocks, with their mask
FEW = 2  # images of which a training's memory is measured
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
        if name in setup.on_blocks:
            _classes_of_given(setup, name)  # which refuses now what does not take blocks
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
        on_blocks = _given if name in setup.on_blocks else _trained
        return _about_blocks(on_blocks(setup, name, options), words)

    def uses(self, setup: Setup, name: str, options: LeakageInAudit) -> dict[str, Any]:
        """What the classifier on blocks is made of, where the images have no signal mask."""
        if setup.test.signal_mask is not None:
            return {}
        if name in setup.on_blocks:
            return {"on_blocks": classifier_fingerprint(setup.on_blocks[name])}
        return {"train": setup.train.fingerprint, "recipe": setup.recipes[name].key(setup.run.device)}

    def cost(self, setup: Setup, name: str, options: Any) -> Cost:
        """A training on blocks where there is no signal mask; then a gradient an image, and the measures of every map."""
        images = setup.images_for(options)
        maps = {**named_attributions(options.attribution, options.seed), **_controls(options)}
        measured = mapping(setup.classifiers[name], images, maps, setup.run.device) + _measuring(images, len(maps), options)
        if setup.test.signal_mask is not None or name in setup.on_blocks:
            return measured
        share = CLASSES / len(setup.train.classes)
        attack = int(setup.recipes[name].objective_options().get("steps", 0))
        gradients = int(2 * share * len(setup.train) * options.epochs * (1 + attack))
        training = Cost(networks=1, gradients=gradients, memory=_bytes_on_blocks(setup, name, options))
        return replace(measured, memory=0.0) + training  # what is measured is the classifier of blocks

    def scores(self, result: LeakageResult) -> dict[str, Score]:
        """The share of the top-ranked features in the null blocks that the verdict is about."""
        row: Any = result.rows(result.deciding_measure).loc[result.audited[0]]
        words = f"top {100 * result.level:.4g} % outside the signal"
        return {words: Score.of(row, -1)}

    def evidence(self, result: LeakageResult) -> list[Evidence]:
        """The quality of each audited attribution, as that of planted maps is defined, where the signal has room for the top."""
        if PLANTED not in result.settings["top"] or unpack(result.details["signal_area"]).min() < PLANTED:
            return []
        rows = result.rows(null_top(PLANTED))
        return [Evidence("quality", one, _quality(rows.loc[one]), result.settings["images"]) for one in result.audited]

    def section(self, results: Mapping[str, LeakageResult]) -> Section:
        """Its section."""
        return leakage_section(results)

    def pictures(self, setup: Setup, name: str, options: Any, result: LeakageResult) -> Pictures:
        """Some images with the first attribution."""
        return gallery_of(result, name, setup.classifiers[name], setup.test, options.attribution)


def _controls(options: Any) -> dict[str, Attribution]:
    return named_controls(options.controls, options.seed)


def _measuring(images: ImageSet, maps: int, options: Any) -> Cost:
    """The measures of so many maps of every image, by the time of one; and the accuracy."""
    scores, signal = torch.rand(1, *images.shape), torch.rand(1, *images.shape[1:]) < 0.5
    how: dict[str, Any] = {"levels": options.top, "features": options.features, "seed": options.seed}
    return Cost(forwards=len(images), besides=len(images) * maps * second_call(lambda: measure(scores, signal, 0, **how)))


def _quality(row: Any) -> Score:
    """From 0 at chance to 1 where all of the top lies on the signal."""
    value, low, high = (1 - float(row[end]) / float(row["chance"]) for end in ("value", "high", "low"))
    return Score(value, low, high, 1)


@dataclass(frozen=True, eq=False)
class _OnBlocks:
    """A classifier of blocks in the place of the audited one.

    Args:
        classifier: of two blocks, one above the other.
        images: such blocks, on which leakage is measured.
        said: where the classifier comes from.
        settings: the same, for the result.
    """

    classifier: nn.Module
    images: ImageSet
    said: str
    settings: dict[str, Any]


def _trained(setup: Setup, name: str, options: LeakageInAudit) -> _OnBlocks:
    """One that is trained now, by the audited one's recipe."""
    recipe = setup.recipes[name].with_(epochs=options.epochs, seed=setup.run.seed)
    training, testing = (_blocks(one, CLASSES, setup.run.seed) for one in (setup.train, setup.test))
    classifier = train_once(recipe, training, store=setup.run.store, device=setup.run.device, show_progress=setup.run.show_progress)
    said = f"trained by the same recipe, for {options.epochs} epochs, on blocks made of {len(training):,} of them"
    images = at_most(testing, options.images, setup.run.seed)
    return _OnBlocks(classifier, images, said, {"recipe": recipe.model_dump()})


def _bytes_on_blocks(setup: Setup, name: str, options: LeakageInAudit) -> float:
    """Bytes at the peak of the training on blocks, or of gradients at blocks; and of the blocks."""
    recipe, device = setup.recipes[name].with_(epochs=options.epochs, seed=setup.run.seed), setup.run.device
    with one_thread():
        network = _network(setup, recipe).to(device)
        few = _blocks(setup.train[(setup.train.labels < CLASSES).nonzero()[:FEW, 0]], CLASSES, setup.run.seed)
        with seeded(setup.run.seed, device):
            training = bytes_of_training(network, draw_from(few, device), recipe, device)
    counts = [int((one.labels < CLASSES).sum()) for one in (setup.train, setup.test)]
    first, most = few.floats([0]), min(counts[1], options.images or counts[1])
    gradients = GRADIENT * min(batch_size_for(network, first, device=device), most) * bytes_per_image(network, first)
    return max(training, gradients) + BLOCKS * sum(counts) * few.images[0].numel()


def _given(setup: Setup, name: str, options: LeakageInAudit) -> _OnBlocks:
    """One that the user trained as the audited one was."""
    testing = _blocks(setup.test, _classes_of_given(setup, name), setup.run.seed)
    images = at_most(testing, options.images, setup.run.seed)
    return _OnBlocks(setup.on_blocks[name], images, "given as trained alike, on blocks of such images", {"given": True})


def _classes_of_given(setup: Setup, name: str) -> int:
    """How many classes the user's classifier of blocks knows.

    Raises:
        InputError: it does not take blocks of the test images, or knows more classes than these have.
    """
    classifier, argument = setup.on_blocks[name], f"on_blocks[{name!r}]"
    few = blocks(setup.test[:1], seed=setup.run.seed)
    try:
        classes = class_count(classifier, few)
    except (InputError, RuntimeError, ValueError) as error:
        expected = f"a classifier of blocks of the images, of shape {few.shape} ({first_line(error)})"
        raise InputError(argument, type(classifier).__name__, expected) from error
    most = len(setup.test.classes)
    require(2 <= classes <= most, argument, f"{classes} classes", f"a classifier of 2 to {most} classes, the first of the images'")
    return classes


def _about_blocks(found: _OnBlocks, words: Mapping[str, Any]) -> Result:
    """Leakage of a classifier of blocks, whose verdict says first that it is one."""
    result = leakage(found.classifier, found.images, **words)
    said = f"the images have no known signal, so this is about a classifier {found.said}"
    verdict = Verdict(result.verdict.label, result.verdict.sentence, (said, *result.verdict.caveats))
    return replace(result, verdict=verdict, settings=result.settings | {"trained_on": "blocks"} | found.settings)


def _blocks(images: ImageSet, classes: int, seed: int) -> ImageSet:
    return blocks(images, classes=tuple(range(min(classes, len(images.classes)))), seed=seed)


def _classes(images: ImageSet) -> int:
    """How many of the blocks' classes occur."""
    return int((images.labels.bincount(minlength=CLASSES)[:CLASSES] > 0).sum())


def _network(setup: Setup, recipe: Recipe) -> nn.Module:
    channels, height, width = setup.train.shape
    with seeded(setup.run.seed, setup.run.device):
        return recipe.build((channels, 2 * height, width), CLASSES)


INSTRUMENT = Leakage()
