"""Alignment as command, audit and page ask for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from torch import nn

from gradaudit.classifiers import class_count, classifier_fingerprint
from gradaudit.instruments.alignment.audit import alignment
from gradaudit.instruments.alignment.options import ABOUT, AlignmentOptions
from gradaudit.instruments.alignment.result import AlignmentResult
from gradaudit.instruments.alignment.section import alignment_section
from gradaudit.instruments.alignment.transfer import MOST, STEPS
from gradaudit.instruments.contract import Evidence, Instrument, Score
from gradaudit.instruments.costs import Cost
from gradaudit.instruments.setup import Setup
from gradaudit.markup.section import Section

PLANTED = {"gradient": "logit", "score": "bayes", "similarity": "magnitude_cosine", "sigma": 0.25}  # how planted maps were judged
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
        count = len(setup.images_for(options))
        judges = len(_oracles(setup, name))
        changed = min(count, MOST) if judges else 0
        return Cost(
            gradients=count + STEPS * changed,
            denoised=4 * count * len(options.sigma),
            forwards=2 * (1 + judges) * changed,
            memory=math.nan,
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
