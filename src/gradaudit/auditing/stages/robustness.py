"""Robustness in the audit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradaudit.auditing.settings import options_taken
from gradaudit.auditing.stages._stage import Options, Score, Stage
from gradaudit.errors import require
from gradaudit.images import ImageSet
from gradaudit.instruments.bench import Bench
from gradaudit.instruments.costs import Cost
from gradaudit.instruments.robustness import RobustnessResult, robustness
from gradaudit.instruments.robustness.arguments import check_radii
from gradaudit.instruments.robustness.methods import check_reaches, resolve_methods
from gradaudit.results import Result

GREY = {"linf": (0.0, 0.1, 0.2, 0.3), "l2": (0.0, 0.5, 1.0, 2.0)}
COLOUR = {"linf": (0.0, 1 / 255, 2 / 255, 4 / 255, 8 / 255), "l2": (0.0, 0.25, 0.5, 1.0)}


def lacks(bench: Bench, name: str, options: Options) -> str | None:
    """Nothing is needed but images."""
    return None


def run(bench: Bench, name: str, options: Options) -> Result:
    """Robustness's result; radii are those usual for small grey images or for colour unless given."""
    given = dict(options)
    images = bench.tested(given.pop("images", None))
    return robustness(
        bench.classifiers[name],
        images,
        **{**given, "eps": radii(images, options)},
        seed=bench.run.seed,
        store=bench.run.store,
        device=bench.run.device,
        show_progress=bench.run.show_progress,
    )


def uses(bench: Bench, name: str, options: Options) -> dict[str, Any]:
    """Nothing more."""
    return {}


def radii(images: ImageSet, options: Options) -> Sequence[float]:
    """The radii: those given, or those usual for the norm and such images."""
    usual = GREY if images.shape[0] == 1 else COLOUR
    norm = str(options.get("norm", "linf"))
    require(norm in usual, "norm", norm, f"one of {', '.join(usual)}")
    found: Any = options.get("eps", usual[norm])
    several = found if isinstance(found, Sequence) else (found,)
    # Now, and not after the instruments that take hours.
    check_reaches(resolve_methods(options.get("attack", "pgd"), norm=norm), check_radii(several)[-1], images.shape)
    return several


def cost(bench: Bench, name: str, options: Options) -> Cost:
    """PGD's steps; another attack counts as much again for each of its own steps."""
    images = bench.tested(options.get("images"))
    attack = options.get("attack", "pgd")
    attacks = len(attack) if isinstance(attack, (list, tuple)) else 1
    steps = int(options.get("steps", 20)) * int(options.get("restarts", 1)) + 1
    above = sum(1 for eps in radii(images, options) if eps > 0)
    return Cost(gradients=len(images) * steps * above * attacks)


def scores(result: Result) -> dict[str, Score]:
    """The accuracy under the strongest attacks at the middle radius."""
    assert isinstance(result, RobustnessResult)
    name = "worst" if "worst" in result.rows else result.rows[0]
    eps = [radius for radius in result.settings["eps"] if radius > 0]
    if not eps:
        return {}
    middle = eps[len(eps) // 2]
    rows = result.table[(result.table["attack"] == name) & (result.table["eps"] == middle)]
    row = rows.iloc[0]
    return {f"accuracy under {name}, eps {middle:.4g}": Score(float(row["accuracy"]), float(row["low"]), float(row["high"]), 1)}


STAGE = Stage("robustness", frozenset(options_taken(robustness, "images")), lacks, run, uses, cost, scores)
