"""DiffROAR in the audit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradaudit.auditing.settings import options_taken
from gradaudit.auditing.stages._stage import Options, Score, Stage
from gradaudit.classifiers import classifier_fingerprint
from gradaudit.evaluator import PoolRanking
from gradaudit.instruments.bench import Bench
from gradaudit.instruments.costs import Cost
from gradaudit.instruments.diffroar import DiffROARResult, Grid, Values, prepare_diffroar
from gradaudit.results import Result
from gradaudit.training import Recipe

FEWEST = 20  # training images a class, below which a learner learns nothing that could be compared


def lacks(bench: Bench, name: str, options: Options) -> str | None:
    """Training needs images."""
    if bench.fewest >= FEWEST:
        return None
    return f"it trains networks, and a class has only {bench.fewest} training images; {FEWEST} or more are needed"


def run(bench: Bench, name: str, options: Options) -> Result:
    """DiffROAR's result."""
    return grid(bench, name, options, masks_of_all(bench, options, make=True)).run()


def uses(bench: Bench, name: str, options: Options) -> dict[str, Any]:
    """Training images, for evaluators and learners; and the classifiers whose masks the evaluators are trained under."""
    return {"train": bench.train.fingerprint, **audited_together(bench, options)}


def cost(bench: Bench, name: str, options: Options) -> Cost:
    """The networks that the store lacks."""
    plan = grid(bench, name, options, masks_of_all(bench, options, make=False)).plan()
    return Cost(plan.pending, seconds=plan.seconds - plan.reading, besides=plan.reading)


def grid(bench: Bench, name: str, options: Options, masks: Mapping[str, PoolRanking] | None = None) -> Values | Grid:
    """The checked run, whose evaluators are trained under these masks as well."""
    given: dict[str, Any] = dict(options)
    for option in ("learner", "evaluator", "fine_tune"):
        recipe = given.get(option)
        if isinstance(recipe, Mapping) and "network" in recipe:
            given[option] = Recipe(**recipe)
    return prepare_diffroar(
        bench.classifiers[name],
        bench.train,
        bench.test,
        **given,
        masks=masks,
        seed=bench.run.seed,
        store=bench.run.store,
        workers=bench.run.workers,  # type: ignore[arg-type]
        backend=bench.run.backend,
        device=bench.run.device,
        show_progress=bench.run.show_progress,
    )


def masks_of_all(bench: Bench, options: Options, *, make: bool) -> dict[str, PoolRanking] | None:
    """The rankings for all audited classifiers, under whose masks evaluators are trained; None where learners are retrained."""
    found: dict[str, PoolRanking] = {}
    for name in bench.classifiers:
        run = grid(bench, name, options)
        if not isinstance(run, Values):
            return None
        known = {one.fingerprint for one in found.values()}
        for label, one in run.own_masks(make=make).items():
            if one.fingerprint not in known:  # a control ranks alike for every classifier
                found[label if label not in found else f"{label}, {name}"] = one
    return found


def audited_together(bench: Bench, options: Options) -> dict[str, list[str]]:
    """The classifiers of `masks_of_all`, in the words of a key; nothing where learners are retrained."""
    if options.get("evaluate") == "retrain":
        return {}
    return {"together": sorted(classifier_fingerprint(one) for one in bench.classifiers.values())}


def scores(result: Result) -> dict[str, Score]:
    """The mean over levels of the first attribution's DiffROAR."""
    assert isinstance(result, DiffROARResult)
    return level_scores(result, "DiffROAR")


def level_scores(result: DiffROARResult, named: str) -> dict[str, Score]:
    """The means over levels of the first attribution's DiffROAR, of values or raw and given the mask, under words that begin so."""
    rows = result.summary[result.summary["attribution"] == result.audited[0]]
    if result.of_values:
        return {f"{named} of values, bits": _mean(rows, "values_mean", "values_low", "values_high")}
    found = {f"{named}, mean over levels": _mean(rows, "mean", "low", "high")}
    if "conditional_mean" in rows and rows["conditional_mean"].notna().all():
        found[f"{named} given the mask, bits"] = _mean(rows, "conditional_mean", "conditional_low", "conditional_high")
    return found


def _mean(rows: Any, *columns: str) -> Score:
    # Levels share their seeds and images: the mean of the ends is an interval at least as wide as that of the mean.
    value, low, high = (float(np.mean(rows[column])) if column in rows else float("nan") for column in columns)
    return Score(value, low, high, 1)


STAGE = Stage("diffroar", frozenset(options_taken(prepare_diffroar)), lacks, run, uses, cost, scores)
