"""Counterfactuals in the audit."""

from __future__ import annotations

from typing import Any

from gradaudit.auditing.settings import options_taken
from gradaudit.auditing.stages._denoiser import unfit
from gradaudit.auditing.stages._stage import Options, Score, Stage
from gradaudit.classifiers import classifier_fingerprint
from gradaudit.instruments.bench import Bench, at_most
from gradaudit.instruments.costs import Cost
from gradaudit.instruments.counterfactual import CounterfactualResult, counterfactual
from gradaudit.instruments.counterfactual.arguments import Method, resolve_methods
from gradaudit.instruments.counterfactual.differences import asks_helpers
from gradaudit.results import Result

STEPS = 75  # of a method that does not say
BACK = {"none": 0, "combined": 1, "exact": 3}  # ways back through the denoiser in a guided step
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
        bench.denoiser if _asked(bench, options) else None,
        robust=bench.robust,
        oracles=bench.judges(name),
        reference=at_most(bench.train, REAL, bench.run.seed),
        **given,
        seed=bench.run.seed,
        store=bench.run.store,
        device=bench.run.device,
        show_progress=bench.run.show_progress,
    )


def _methods(bench: Bench, options: Options) -> list[Any]:
    wanted = options.get("method", ["dvce"])
    methods = wanted if isinstance(wanted, (list, tuple)) else [wanted]
    return [one for one in methods if unfit(bench) is None or not _guided(one)]


def _asked(bench: Bench, options: Options) -> bool:
    """Whether a method that is left may ask the denoiser."""
    return unfit(bench) is None and any(asks_helpers(one) for one in resolve_methods(_methods(bench, options)).values())


def _guided(method: Any) -> bool:
    """Whether it walks through a denoiser."""
    return any(one.needs_denoiser for one in resolve_methods(method).values())


def uses(bench: Bench, name: str, options: Options) -> dict[str, Any]:
    """The helpers, the judges, and the real images beside which realism is measured."""
    return {
        "denoiser": bench.denoiser_mark if _asked(bench, options) else None,
        "robust": bench.robust_mark,
        "oracles": {title: classifier_fingerprint(one) for title, one in bench.judges(name).items()},
        "train": bench.train.fingerprint,
    }


def cost(bench: Bench, name: str, options: Options) -> Cost:
    """What each method takes for each image and seed."""
    count = len(bench.tested(options.get("images"))) * int(options.get("seeds", 1))
    return sum((cost_of(method, count) for method in resolve_methods(_methods(bench, options)).values()), Cost())


def cost_of(method: Method, count: int) -> Cost:
    """What so many counterfactuals take: a gradient a step; a guided step is a pass through the denoiser, and back through it."""
    steps = count * int(method.options.get("steps", STEPS))
    if not method.needs_denoiser:
        return Cost(gradients=steps)
    passes = 1 + BACK.get(str(method.options.get("guidance")), 3)
    return Cost(gradients=steps, denoised=steps * passes // 2)  # the walk begins half-way


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
    uses,
    cost,
    scores,
)
