"""DiffROAR in the audit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradaudit.auditing.bench import Bench
from gradaudit.auditing.costs import Cost
from gradaudit.auditing.settings import options_taken
from gradaudit.auditing.stages._stage import Options, Score, Stage
from gradaudit.instruments.diffroar import DiffROARResult, prepare_diffroar
from gradaudit.instruments.diffroar.audit import Grid
from gradaudit.results import Result
from gradaudit.training import Recipe

FEWEST = 20  # training images a class, below which a learner learns nothing that could be compared


def lacks(bench: Bench, name: str, options: Options) -> str | None:
    """Retraining needs images to train on."""
    if bench.fewest >= FEWEST:
        return None
    return f"it retrains networks, and a class has only {bench.fewest} training images; {FEWEST} or more are needed"


def run(bench: Bench, name: str, options: Options) -> Result:
    """DiffROAR's result."""
    return grid(bench, name, options).run()


def uses(bench: Bench, name: str, options: Options) -> dict[str, Any]:
    """Training images, for the learners."""
    return {"train": bench.train.fingerprint}


def cost(bench: Bench, name: str, options: Options) -> Cost:
    """The networks that the store lacks."""
    plan = grid(bench, name, options).plan()
    return Cost(plan.pending, seconds=plan.seconds)


def grid(bench: Bench, name: str, options: Options) -> Grid:
    """The checked run."""
    given: dict[str, Any] = dict(options)
    learner = given.get("learner")
    if isinstance(learner, Mapping) and "network" in learner:
        given["learner"] = Recipe(**learner)
    return prepare_diffroar(
        bench.classifiers[name],
        bench.train,
        bench.test,
        **given,
        seed=bench.seed,
        store=bench.store,
        workers=bench.workers,  # type: ignore[arg-type]
        backend=bench.backend,
        device=bench.device,
        show_progress=bench.show_progress,
    )


def scores(result: Result) -> dict[str, Score]:
    """The mean over levels of the first attribution's DiffROAR."""
    assert isinstance(result, DiffROARResult)
    return level_scores(result, "DiffROAR")


def level_scores(result: DiffROARResult, named: str) -> dict[str, Score]:
    """The means over levels of the first attribution's DiffROAR, raw and given the mask, under words that begin as `named`."""
    rows = result.summary[result.summary["attribution"] == result.audited[0]]
    found = {f"{named}, mean over levels": _mean(rows, "mean", "low", "high")}
    if "conditional_mean" in rows and rows["conditional_mean"].notna().all():
        found[f"{named} given the mask, bits"] = _mean(rows, "conditional_mean", "conditional_low", "conditional_high")
    return found


def _mean(rows: Any, *columns: str) -> Score:
    # Levels share their seeds and images: the mean of the ends is an interval at least as wide as that of the mean.
    value, low, high = (float(np.mean(rows[column])) if column in rows else float("nan") for column in columns)
    return Score(value, low, high, 1)


STAGE = Stage("diffroar", frozenset(options_taken(prepare_diffroar)), lacks, run, uses, cost, scores)
