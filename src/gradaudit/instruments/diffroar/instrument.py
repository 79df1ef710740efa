"""DiffROAR as command, audit and page ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from gradaudit.classifiers import classifier_fingerprint
from gradaudit.evaluator import PoolRanking, evaluator_recipe
from gradaudit.instruments.contract import Evidence, Instrument, Score
from gradaudit.instruments.costs import Cost, predicted, with_memory
from gradaudit.instruments.diffroar.arguments import named_attributions
from gradaudit.instruments.diffroar.audit import prepare_diffroar
from gradaudit.instruments.diffroar.options import ABOUT, DiffROARCommand, DiffROAROptions
from gradaudit.instruments.diffroar.result import DiffROARResult
from gradaudit.instruments.diffroar.retraining import Grid
from gradaudit.instruments.diffroar.section import diffroar_section
from gradaudit.instruments.diffroar.values import Values
from gradaudit.instruments.setup import Setup
from gradaudit.markup.gallery import gallery_of
from gradaudit.markup.pictures import Pictures
from gradaudit.markup.section import Section
from gradaudit.results import Result, Verdict
from gradaudit.training import Recipe
from gradaudit.training.learners import read_learner

FEWEST = 20  # training images a class, below which a learner learns nothing that could be compared
PLANTED = 0.05  # the share of the features at which planted maps were read
LITTLE = 0.05  # bits that whole images tell, below which nothing is a share of them
OF_RECIPES = ("epochs", "batch_size", "learning_rate")  # that a command may change


class DiffROAR(Instrument):
    """DiffROAR."""

    about = ABOUT
    results = (DiffROARResult,)

    def commanded(self, setup: Setup, options: DiffROARCommand, words: Mapping[str, Any]) -> tuple[Setup, DiffROARCommand]:
        """With the scores of the files, the audited classifier as an evaluator, and recipes changed as was said."""
        own = options.evaluator == "classifier"
        changed = _recipe(options, own) | _attributions(options)
        return setup, replace(options, **changed | ({"evaluator": setup.classifiers[words["classifier"]]} if own else {}))

    def lacks(self, setup: Setup, name: str, options: DiffROAROptions) -> str | None:
        """Training needs images; who gives the command may train on few, and is told what came of it."""
        if isinstance(options, DiffROARCommand) or setup.smallest_class >= FEWEST:
            return None
        return f"it trains networks, and a class has only {setup.smallest_class} training images; {FEWEST} or more are needed"

    def measure(self, setup: Setup, name: str, options: DiffROAROptions) -> Result:
        """DiffROAR's result."""
        return _run(setup, name, options, make=True).run()

    def uses(self, setup: Setup, name: str, options: DiffROAROptions) -> dict[str, Any]:
        """Training images, for evaluators and learners; and the classifiers whose masks the evaluators are trained under."""
        return {"train": setup.train.fingerprint, **audited_together(setup, options)}

    def cost(self, setup: Setup, name: str, options: DiffROAROptions) -> Cost:
        """The networks that the store lacks."""
        return cost_of(_run(setup, name, options, make=False))

    def plan(self, setup: Setup, name: str, options: DiffROAROptions) -> str:
        """The run's own."""
        plan = _run(setup, name, options, make=False).plan()
        return f"{plan}, {with_memory(predicted(Cost(memory=plan.memory), None, setup.run.device).memory)}"

    def scores(self, result: DiffROARResult) -> dict[str, Score]:
        """The mean over levels of the first attribution's DiffROAR."""
        return level_scores(result, "DiffROAR")

    def evidence(self, result: DiffROARResult) -> list[Evidence]:
        """The values at a twentieth of the features, as a share of what whole images tell; where evaluators read them."""
        return planted_values(result)

    def tables(self, result: DiffROARResult, name: str) -> list[tuple[str, pd.DataFrame]]:
        """The summary over seeds."""
        return [(f"DiffROAR{' of values' if result.of_values else ''}, {name}", result.brief)]

    def verdicts(self, result: DiffROARResult) -> dict[str, Verdict]:
        """The verdicts of each audited attribution."""
        found: dict[str, Verdict] = {}
        for name, verdict in result.verdicts.items():
            found[name] = verdict
            if name in result.conditional_verdicts:
                found[f"{name}, given the mask,"] = result.conditional_verdicts[name]
        return found

    def section(self, results: Mapping[str, DiffROARResult]) -> Section:
        """Its section."""
        return diffroar_section(results)

    def pictures(self, setup: Setup, name: str, options: DiffROAROptions, result: DiffROARResult) -> Pictures:
        """Some images with the first attribution."""
        first = next(iter(named_attributions(options.attribution, options.seed).values()))["test"]
        return gallery_of(result, name, setup.classifiers[name], setup.test, first)


def _recipe(options: DiffROARCommand, own: bool) -> dict[str, Any]:
    """The recipe that the command changes: of learners if any are fitted, else of the evaluator."""
    fields = {name: getattr(options, name) for name in OF_RECIPES if getattr(options, name) is not None}
    if options.evaluate == "retrain" or options.selection:
        return {"learner": read_learner(options.learner or "learners/fast-convnet", **fields)}
    changed = "fine_tune" if own else "evaluator"
    return {changed: evaluator_recipe(changed, getattr(options, changed), **fields)} if fields else {}


def _attributions(options: DiffROARCommand) -> dict[str, Any]:
    """Those that were named, and the scores of the files."""
    if options.scores is None:
        return {}
    named = options.attribution if isinstance(options.attribution, list) else []  # no list: it is the default
    return {"attribution": [*named, {"scores": options.scores}]}


def _run(setup: Setup, name: str, options: DiffROAROptions, *, make: bool) -> Values | Grid:
    alone = isinstance(options, DiffROARCommand)
    return grid(setup, name, options, None if alone else masks_of_all(setup, options, make=make))


def grid(setup: Setup, name: str, options: DiffROAROptions, masks: Mapping[str, PoolRanking] | None = None) -> Values | Grid:
    """The checked run, whose evaluators are trained under these masks as well; a table with a `network` is a recipe."""
    words = setup.keywords(options, DiffROAROptions) | {"masks": masks}
    for option in ("learner", "evaluator", "fine_tune"):
        if isinstance(words[option], Mapping) and "network" in words[option]:
            words[option] = Recipe(**words[option])
    return prepare_diffroar(setup.classifiers[name], setup.train, setup.test, **words)


def cost_of(run: Values | Grid) -> Cost:
    """What a run will take."""
    plan = run.plan()
    found = Cost(plan.pending, seconds=plan.seconds - plan.reading, besides=plan.reading, memory=plan.memory)
    return found + run.ranking() if plan.pending else found


def masks_of_all(setup: Setup, options: DiffROAROptions, *, make: bool) -> dict[str, PoolRanking] | None:
    """The rankings for all audited classifiers, under whose masks evaluators are trained; None where learners are retrained."""
    found: dict[str, PoolRanking] = {}
    for name in setup.classifiers:
        run = grid(setup, name, options)
        if not isinstance(run, Values):
            return None
        known = {one.fingerprint for one in found.values()}
        for label, one in run.own_masks(make=make).items():
            if one.fingerprint not in known:  # a control ranks alike for every classifier
                found[label if label not in found else f"{label}, {name}"] = one
    return found


def audited_together(setup: Setup, options: DiffROAROptions) -> dict[str, list[str]]:
    """The classifiers of `masks_of_all`, in the words of a key; nothing where learners are retrained."""
    if options.evaluate == "retrain":
        return {}
    return {"together": sorted(classifier_fingerprint(one) for one in setup.classifiers.values())}


def planted_values(result: DiffROARResult) -> list[Evidence]:
    """The values of each audited attribution as those of planted maps were read; none where they can't be."""
    if not result.of_values or result.settings["features"] != "coordinates":
        return []
    whole = result.told_by_whole_images
    rows = result.summary[result.summary["attribution"].isin(result.audited) & (result.summary["level"] == PLANTED)]
    return [
        Evidence("values", row["attribution"], _share(row, whole), result.settings["test_images"])
        for row in rows.to_dict("records")
        if whole > LITTLE
    ]


def _share(row: Mapping[Any, Any], whole: float) -> Score:
    value, low, high = (float(row[f"values_{part}"]) / whole for part in ("mean", "low", "high"))
    return Score(value, low, high, 1)


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


INSTRUMENT = DiffROAR()
