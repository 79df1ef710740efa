"""Alignment in the audit."""

from __future__ import annotations

from typing import Any

from gradaudit.auditing.settings import options_taken
from gradaudit.auditing.stages._denoiser import unfit
from gradaudit.auditing.stages._stage import Options, Score, Stage
from gradaudit.classifiers import class_count
from gradaudit.instruments.alignment import AlignmentResult, alignment
from gradaudit.instruments.bench import Bench
from gradaudit.instruments.costs import Cost
from gradaudit.results import Result


def lacks(bench: Bench, name: str, options: Options) -> str | None:
    """A denoiser of these images is needed."""
    return unfit(bench)


def run(bench: Bench, name: str, options: Options) -> Result:
    """Alignment's result; with the Bayes gradient where the denoiser knows the classifier's classes, unless told otherwise."""
    assert bench.denoiser is not None
    given = dict(options)
    images = bench.tested(given.pop("images", None))
    known = bench.denoiser.classes == len(images.classes) == class_count(bench.classifiers[name], images)
    usual = "bayes" if known else "unconditional"
    return alignment(
        bench.classifiers[name],
        images,
        bench.denoiser,
        **{"score": usual, **given},
        seed=bench.run.seed,
        device=bench.run.device,
        show_progress=bench.run.show_progress,
    )


def uses(bench: Bench, name: str, options: Options) -> dict[str, Any]:
    """The denoiser."""
    return {"denoiser": bench.denoiser_mark}


def cost(bench: Bench, name: str, options: Options) -> Cost:
    """A gradient, two scores and a check of the denoiser for each image and sigma."""
    count = len(bench.tested(options.get("images")))
    sigma = options.get("sigma", (0.25,))
    times = len(sigma) if isinstance(sigma, (list, tuple)) else 1
    return Cost(gradients=count, denoised=4 * count * times)


def scores(result: Result) -> dict[str, Score]:
    """The value of the first row, the one that the verdict is about, at its middle sigma."""
    assert isinstance(result, AlignmentResult)
    table, settings = result.table, result.settings
    sigma = settings["sigma"][len(settings["sigma"]) // 2]
    first = {"gradient": settings["gradients"][0], "score": settings["scores"][0], "similarity": settings["similarities"][0]}
    chosen = table[(table[list(first)] == list(first.values())).all(axis=1) & (table["sigma"] == sigma)].iloc[0]
    words = f"alignment with the {first['score']} score, {first['similarity']}, sigma {sigma:g}"
    return {words: Score(float(chosen["value"]), float(chosen["low"]), float(chosen["high"]), 1)}


STAGE = Stage("alignment", frozenset(options_taken(alignment, "images")), lacks, run, uses, cost, scores)
