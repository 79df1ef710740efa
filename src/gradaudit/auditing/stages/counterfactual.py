"""Counterfactuals in the audit."""

from __future__ import annotations

from typing import Any

from gradaudit.auditing.bench import Bench, at_most
from gradaudit.auditing.costs import Cost
from gradaudit.auditing.settings import options_taken
from gradaudit.auditing.stages._denoiser import unfit
from gradaudit.auditing.stages._stage import Options, Score, Stage
from gradaudit.instruments.counterfactual import CounterfactualResult, counterfactual
from gradaudit.instruments.counterfactual.arguments import resolve_methods
from gradaudit.results import Result

STEPS = 75  # of a method that does not say
GIVEN = {"denoiser", "robust", "oracles", "reference"}
REAL = 1000  # training images beside which realism is measured


def lacks(bench: Bench, name: str, options: Options) -> str | None:
    """Methods that need a denoiser are left out where there is none; only where none is left is there a reason."""
    problem = unfit(bench)
    return problem if problem and not _methods(bench, options) else None


def run(bench: Bench, name: str, options: Options) -> Result:
    """Counterfactuals towards the second most likely class, unless told otherwise."""
    given = dict(options)
    images = bench.tested(given.pop("images", None))
    given["method"] = _methods(bench, options)
    return counterfactual(
        bench.classifiers[name],
        images,
        given.pop("targets", "second"),
        None if unfit(bench) else bench.denoiser,
        robust=bench.robust,
        oracles=bench.judges(name),
        reference=at_most(bench.train, REAL, bench.seed),
        **given,
        seed=bench.seed,
        store=bench.store,
        device=bench.device,
        show_progress=bench.show_progress,
    )


def _methods(bench: Bench, options: Options) -> list[Any]:
    wanted = options.get("method", ["dvce"])
    methods = wanted if isinstance(wanted, (list, tuple)) else [wanted]
    return [one for one in methods if unfit(bench) is None or not _guided(one)]


def _guided(method: Any) -> bool:
    """Whether it walks through a denoiser."""
    return any(one.needs_denoiser for one in resolve_methods(method).values())


def cost(bench: Bench, name: str, options: Options) -> Cost:
    """Each guided step is a pass through the denoiser and three back; each other step a gradient."""
    count = len(bench.tested(options.get("images"))) * int(options.get("seeds", 1))
    total = Cost()
    for method in resolve_methods(_methods(bench, options)).values():
        steps = count * method.options.get("steps", STEPS)
        total += Cost(gradients=steps, denoised=2 * steps if method.needs_denoiser else 0)  # a late start: half of the steps
    return total


def scores(result: Result) -> dict[str, Score]:
    """How often other classifiers, the robust helper not among them, agree that a flipped image shows its target: first method."""
    assert isinstance(result, CounterfactualResult)
    summary = result.summary[result.summary["method"] == result.methods[0]].set_index("measure")
    found = {}
    judges = [oracle for oracle in result.oracles if not result.details["oracles"][oracle]["helper"]]
    for oracle in judges:
        if f"agreed_{oracle}" not in summary.index:  # the method made nothing that could be judged
            continue
        row: Any = summary.loc[f"agreed_{oracle}"]
        words = f"{result.methods[0]}: flips that {oracle if len(judges) > 1 else 'another classifier'} agrees with"
        found[words] = Score(float(row["value"]), float(row["low"]), float(row["high"]), 1)
    return found


STAGE = Stage(
    "counterfactual",
    frozenset(options_taken(counterfactual, "images", "targets") - GIVEN),
    lacks,
    run,
    cost,
    scores,
)
