"""Alignment as command, audit and page ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch
from torch import nn

from gradaudit.classifiers import class_count, classifier_fingerprint
from gradaudit.diffusion import Denoiser
from gradaudit.images import ImageSet
from gradaudit.instruments.alignment.arguments import resolve_batch_size
from gradaudit.instruments.alignment.audit import alignment
from gradaudit.instruments.alignment.denoising import CHECKED
from gradaudit.instruments.alignment.measure import AlignmentInputs
from gradaudit.instruments.alignment.options import ABOUT, AlignmentOptions
from gradaudit.instruments.alignment.result import AlignmentResult
from gradaudit.instruments.alignment.section import alignment_section
from gradaudit.instruments.alignment.transfer import MOST, STEPS
from gradaudit.instruments.contract import Evidence, Instrument, Score
from gradaudit.instruments.costs import FORWARD, Cost, denoiser_bytes, gradient_bytes
from gradaudit.instruments.setup import Setup
from gradaudit.markup.section import Section

PLANTED = {"gradient": "logit", "score": "bayes", "similarity": "magnitude_cosine", "sigma": 0.25}  # how planted maps were judged
HELD = 8  # arrays of a batch beside its maps: images, noise, points, and what compares two maps in double precision
NOISY = 5  # arrays of the images on which a denoiser is checked
FIRST = {"gradient": "gradients", "score": "scores", "similarity": "similarities"}  # columns, and the settings that list them


class Alignment(Instrument):
    """Alignment."""

    about = ABOUT
    results = (AlignmentResult,)

    def lacks(self, setup: Setup, name: str, options: AlignmentOptions) -> str | None:
        """A denoiser of these images is needed."""
        return setup.unfit_denoiser

    def measure(self, setup: Setup, name: str, options: Any) -> AlignmentResult:
        """Alignment's result; in an audit with the Bayes gradient where the denoiser knows the classes, unless told otherwise."""
        assert setup.denoiser is not None
        words = setup.keywords(options, AlignmentOptions)
        if options.score is None:
            words["score"] = _usual(setup, name)
        images = setup.images_for(options)
        return alignment(setup.classifiers[name], images, setup.denoiser, oracles=_oracles(setup, name), **words)

    def uses(self, setup: Setup, name: str, options: Any) -> dict[str, Any]:
        """The denoiser, and the oracles that were given."""
        judges = {title: classifier_fingerprint(one) for title, one in _oracles(setup, name).items()}
        return {"denoiser": setup.denoiser_mark} | ({"oracles": judges} if judges else {})

    def cost(self, setup: Setup, name: str, options: Any) -> Cost:
        """A gradient, two scores and a check of the denoiser for each image and sigma; the steps of what oracles judge."""
        assert setup.denoiser is not None
        images = setup.images_for(options)
        maps = sum(_count(getattr(options, one)) for one in ("gradient", "score"))
        judges = len(_oracles(setup, name))
        changed = min(len(images), MOST) if judges else 0
        return Cost(
            gradients=len(images) + STEPS * changed,
            denoised=4 * len(images) * len(options.sigma),
            forwards=2 * (1 + judges) * changed,
            memory=working_bytes(setup.classifiers[name], setup.denoiser, images, setup.run.device, options.batch_size, maps),
        )

    def tables(self, result: AlignmentResult, name: str) -> list[tuple[str, pd.DataFrame]]:
        """The table, and what oracles see."""
        found = super().tables(result, name)
        return [*found, (f"Transfer, {name}", result.transfer)] if len(result.transfer) else found

    def scores(self, result: AlignmentResult) -> dict[str, Score]:
        """The value of the first row, the one that the verdict is about, at its middle sigma."""
        settings = result.settings
        sigma = settings["sigma"][len(settings["sigma"]) // 2]
        first = {name: settings[names][0] for name, names in FIRST.items()} | {"sigma": sigma}
        words = f"alignment with the {first['score']} score, {first['similarity']}, sigma {sigma:g}"
        return {words: _scores(result, first)[0]}

    def evidence(self, result: AlignmentResult) -> list[Evidence]:
        """The row by which planted maps were judged, where it was measured."""
        if result.settings["noise"] != "none":
            return []
        return [Evidence("alignment", "logit_gradient", one, len(result.details["labels"])) for one in _scores(result, PLANTED)]

    def section(self, results: Mapping[str, AlignmentResult]) -> Section:
        """Its section."""
        return alignment_section(results)


def working_bytes(
    classifier: nn.Module,
    denoiser: Denoiser,
    images: ImageSet,
    device: torch.device,
    batch_size: int | str = "auto",
    maps: int = 2,
) -> float:
    """Bytes at the peak: a batch with its noise and its maps, and the gradients or the scores; and the images that are checked.

    A similarity's own network is not counted.
    """
    inputs = AlignmentInputs(classifier.to(device), denoiser.to(device), images, {}, {}, {}, "none", "label", 0, device)
    size = min(resolve_batch_size(batch_size, inputs, 0.25, False), len(images))
    image = 4 * images.images[0].numel()
    asked = max(gradient_bytes(classifier, images, device, size + 1), FORWARD * size * denoiser_bytes(denoiser, images, device))
    checked = NOISY * image * min(CHECKED, len(images))
    return max(asked + (HELD + maps) * image * (size + 1), checked + FORWARD * size * denoiser_bytes(denoiser, images, device))


def _count(methods: Any) -> int:
    return len(methods) if isinstance(methods, (list, tuple)) else 1


def _scores(result: AlignmentResult, wanted: Mapping[str, Any]) -> list[Score]:
    """The values of the rows with these entries."""
    rows = result.table[(result.table[[*wanted]] == [*wanted.values()]).all(axis=1)]
    return [Score.of(row, 1) for row in rows.to_dict("records")]


def _oracles(setup: Setup, name: str) -> Mapping[str, nn.Module]:
    """Those that were given: another audited classifier is no reason to measure again."""
    return setup.oracles_for(name) if setup.oracles else {}


def _usual(setup: Setup, name: str) -> str:
    """The score that an audit takes: the Bayes gradient where the denoiser knows the classifier's classes."""
    assert setup.denoiser is not None
    known = setup.denoiser.classes == len(setup.test.classes) == class_count(setup.classifiers[name], setup.test)
    return "bayes" if known else "unconditional"


INSTRUMENT = Alignment()
