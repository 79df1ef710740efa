"""Alignment as command, audit and page ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradaudit.classifiers import class_count
from gradaudit.instruments.alignment.audit import alignment
from gradaudit.instruments.alignment.options import ABOUT, AlignmentOptions
from gradaudit.instruments.alignment.result import AlignmentResult
from gradaudit.instruments.alignment.section import alignment_section
from gradaudit.instruments.contract import Evidence, Instrument, Score
from gradaudit.instruments.costs import Cost
from gradaudit.instruments.setup import Setup
from gradaudit.markup.section import Section

PLANTED = ("logit", "bayes", "magnitude_cosine", 0.25)


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
        images = setup.test_images(getattr(options, "images", None))
        return alignment(setup.classifiers[name], images, setup.denoiser, **words)

    def uses(self, setup: Setup, name: str, options: Any) -> dict[str, Any]:
        """The denoiser."""
        return {"denoiser": setup.denoiser_mark}

    def cost(self, setup: Setup, name: str, options: Any) -> Cost:
        """A gradient, two scores and a check of the denoiser for each image and sigma."""
        count = len(setup.test_images(getattr(options, "images", None)))
        return Cost(gradients=count, denoised=4 * count * len(options.sigma))

    def scores(self, result: AlignmentResult) -> dict[str, Score]:
        """The value of the first row, the one that the verdict is about, at its middle sigma."""
        table, settings = result.table, result.settings
        sigma = settings["sigma"][len(settings["sigma"]) // 2]
        first = {"gradient": settings["gradients"][0], "score": settings["scores"][0], "similarity": settings["similarities"][0]}
        chosen = table[(table[list(first)] == list(first.values())).all(axis=1) & (table["sigma"] == sigma)].iloc[0]
        words = f"alignment with the {first['score']} score, {first['similarity']}, sigma {sigma:g}"
        return {words: Score(float(chosen["value"]), float(chosen["low"]), float(chosen["high"]), 1)}

    def evidence(self, result: AlignmentResult) -> list[Evidence]:
        """The row by which planted maps were judged, where it was measured."""
        table, wanted = result.table, dict(zip(("gradient", "score", "similarity", "sigma"), PLANTED, strict=True))
        rows = table[(table[[*wanted]] == [*wanted.values()]).all(axis=1)]
        if result.settings["noise"] != "none":
            return []
        found = [Score(float(row["value"]), float(row["low"]), float(row["high"]), 1) for row in rows.to_dict("records")]
        return [Evidence("alignment", "logit_gradient", one, len(result.details["labels"])) for one in found]

    def section(self, results: Mapping[str, AlignmentResult]) -> Section:
        """Its section."""
        return alignment_section(results)


def _usual(setup: Setup, name: str) -> str:
    """The score that an audit takes: the Bayes gradient where the denoiser knows the classifier's classes."""
    assert setup.denoiser is not None
    known = setup.denoiser.classes == len(setup.test.classes) == class_count(setup.classifiers[name], setup.test)
    return "bayes" if known else "unconditional"


INSTRUMENT = Alignment()
