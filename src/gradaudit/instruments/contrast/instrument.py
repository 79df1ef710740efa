"""Contrast as command, audit and page ask for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from gradaudit.attributions import controls_beside, named_attributions
from gradaudit.errors import InputError
from gradaudit.images import ImageSet
from gradaudit.instruments.alignment.similarities.cosine import cosine
from gradaudit.instruments.alignment.similarities.magnitude_cosine import magnitude_cosine
from gradaudit.instruments.contract import Evidence, Instrument, Score
from gradaudit.instruments.contrast.audit import contrast
from gradaudit.instruments.contrast.neighbours import check_enough, compared_at_once, distances, held_bytes
from gradaudit.instruments.contrast.options import ABOUT, ContrastOptions
from gradaudit.instruments.contrast.result import ContrastResult
from gradaudit.instruments.contrast.section import contrast_section
from gradaudit.instruments.contrast.verdict import POOR
from gradaudit.instruments.costs import Cost, mapping, second_call
from gradaudit.instruments.setup import Setup
from gradaudit.markup.section import Section

PLANTED = 30  # neighbours by which planted maps were judged
SOME, FEW = 512, 8  # training images and images whose distances are timed


class Contrast(Instrument):
    """Contrast."""

    about = ABOUT
    results = (ContrastResult,)

    def lacks(self, setup: Setup, name: str, options: ContrastOptions) -> str | None:
        """Training images of every class, more than there are neighbours."""
        asked = setup.test.labels if options.target == "label" else torch.arange(len(setup.train.classes))
        try:
            check_enough(setup.train, asked, options.neighbours)
        except InputError:
            return (
                f"it looks for {options.neighbours} neighbours of each class and of others, and there are too few training images"
            )
        return None

    def measure(self, setup: Setup, name: str, options: Any) -> ContrastResult:
        """Contrast's result."""
        words = setup.keywords(options, ContrastOptions)
        return contrast(setup.classifiers[name], setup.train, setup.images_for(options), **words)

    def uses(self, setup: Setup, name: str, options: ContrastOptions) -> dict[str, Any]:
        """The training images."""
        return {"train": setup.train.fingerprint}

    def cost(self, setup: Setup, name: str, options: Any) -> Cost:
        """The maps of every image, its contrast, and that of another, with which each is compared."""
        images, train = setup.images_for(options), setup.train
        audited = named_attributions(options.attribution, options.seed)
        beside, _ = controls_beside(options.controls, audited, options.seed)
        asked = mapping(setup.classifiers[name], images, audited | beside, setup.run.device)
        one = torch.rand(1, *images.shape)
        comparing = len(images) * len(audited | beside) * second_call(lambda: _compared_with(one))
        near = train[: options.neighbours]
        finding = _seconds_to_find(images, train, setup.run.device)
        finding += 2 * len(images) * second_call(lambda: near.floats(slice(None), setup.run.device).mean(0))
        return replace(asked, besides=asked.besides + comparing + finding, memory=held_bytes(images, train) + asked.memory)

    def scores(self, result: ContrastResult) -> dict[str, Score]:
        """The cosine of magnitudes of the first attribution."""
        return {"cosine with the contrast, magnitudes": _score(result, result.audited[0])}

    def evidence(self, result: ContrastResult) -> list[Evidence]:
        """That of every audited attribution, where neighbours mean something."""
        chance = result.details["chance"]
        if result.settings["neighbours"] != PLANTED or result.voted < chance + POOR * (1 - chance):
            return []
        return [Evidence("contrast", one, _score(result, one), result.settings["images"]) for one in result.audited]

    def section(self, results: Mapping[str, ContrastResult]) -> Section:
        """Its section."""
        return contrast_section(results)


def _seconds_to_find(images: ImageSet, train: ImageSet, device: torch.device) -> float:
    """Of all distances: training images are read once for each group of images, and compared with each of them."""
    part, groups = train[:SOME], math.ceil(len(images) / compared_at_once(images, train))
    shown = images.floats(slice(0, FEW), device).flatten(1)
    one, few = (second_call(partial(distances, shown[:count], part, device)) for count in (1, len(shown)))
    each = (few - one) / (len(shown) - 1) if len(shown) > 1 else one
    return (groups * max(0.0, one - each) + len(images) * max(0.0, each)) * len(train) / len(part)


def _compared_with(one: Tensor) -> None:
    """One map with two contrasts, as every map is."""
    for _ in range(2):
        magnitude_cosine(one, one), cosine(one, one)


def _score(result: ContrastResult, attribution: str) -> Score:
    return Score.of(result.rows().loc[attribution], 1)


INSTRUMENT = Contrast()
