"""Families of classifiers: one objective, its strength the only thing that differs.

Any objective with a strength makes a family, a user's own included; those of Srinivas et al. (2023) have strengths by default.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from gradaudit.errors import InputError, require
from gradaudit.instruments.sweep.measured_classifier import NONE
from gradaudit.instruments.sweep.options import STRENGTHS
from gradaudit.registry import Spec, options_of, parse_spec
from gradaudit.training import OBJECTIVES, Recipe
from gradaudit.training.perturbations import check_reach

# AdamW, since its steps do not grow with the penalty; SiLU, since the gradient penalty needs a smooth activation.
BASE = Recipe(network="cnn_a(activation=silu)", optimizer="adamw", learning_rate=0.002, weight_decay=1e-4, epochs=4)
RAMP = 0.3  # share of the steps over which the strength rises: large ones are learned more surely so

OPTIONS: dict[str, dict[str, Any]] = {"noise_stability": {"std": 0.1}, "adversarial": {"steps": 7}}


@dataclass(frozen=True)
class Family:
    """An objective at several strengths.

    Args:
        name: as the user wrote it.
        objective: the objective with all its options but the strength.
        option: the name of the option that is the strength.
        strengths: ascending.
    """

    name: str
    objective: Spec
    option: str
    strengths: tuple[float, ...]

    def recipe(self, base: Recipe, strength: float) -> Recipe:
        """The base recipe with this objective at a strength, approached over the first third of the training."""
        options = {**self.objective.options, self.option: strength}
        return base.with_(objective=Spec(self.objective.name, options, self.objective.positional), ramp=RAMP)


def read_families(families: Any, norm: str = "l2") -> tuple[Family, ...]:
    """The families that are meant.

    Args:
        families: specs of objectives such as `"noise"` or `"adversarial(steps=3)"`: one or a list of those that have strengths by
            default, or a mapping from specs to strengths.
        norm: for objectives that have one, unless their spec says otherwise.

    Raises:
        InputError: an unknown objective or option; one without a strength, or whose spec fixes it; strengths that are missing, or
            not finite and above 0, in ascending order.
    """
    if isinstance(families, str):
        families = [families]
    given = families if isinstance(families, Mapping) else dict.fromkeys(families) if isinstance(families, Iterable) else {}
    known = ", ".join(STRENGTHS)
    require(len(given) > 0, "families", families, f"names of objectives, such as {known}, or a mapping to their strengths")
    return tuple(_family(str(name), strengths, norm) for name, strengths in given.items())


def _family(name: str, strengths: Any, norm: str) -> Family:
    spec = parse_spec("families", name)
    options = options_of(OBJECTIVES.function("families", spec.name))
    OBJECTIVES.bind("families", spec)
    plain = spec.name.replace("-", "_")
    fixed = {**dict(zip(options, spec.positional, strict=False)), **spec.options}
    option = Recipe(objective=Spec(plain, OPTIONS.get(plain, {}) | fixed)).strength()[0]
    if option is None:
        raise InputError("families", name, "an objective with a strength: an option eps, strength or std that has a default")
    require(option not in fixed, "families", name, f"written without its strength {option}, which the sweep varies")
    ball = {"norm": norm} if "eps" in options else {}  # another objective's norm is of its gradients
    shared = {key: value for key, value in {**OPTIONS.get(plain, {}), **ball}.items() if key in options}
    measured = (shared | fixed).get("norm", "l2")
    found = _strengths(name, STRENGTHS.get(plain) if measured == "l2" else None, strengths)
    if option == "eps":
        check_reach(measured, found[-1])
    return Family(name, Spec(plain, shared | fixed), option, found)


def _strengths(name: str, own: tuple[float, ...] | None, strengths: Any) -> tuple[float, ...]:
    found = own if strengths is None else strengths
    known = ", ".join(STRENGTHS)
    require(
        found is not None,
        "families",
        name,
        f"given its strengths, as {{{name!r}: (0.1, 1.0)}}; only {known} have their own, for l2",
    )
    numbers: tuple[Any, ...] = tuple(found) if isinstance(found, Iterable) and not isinstance(found, str) else (found,)
    good = all(isinstance(one, (int, float)) and not isinstance(one, bool) and 0 < one < math.inf for one in numbers)
    good = good and len(numbers) > 0 and all(low < high for low, high in pairwise(numbers))
    require(good, f"families[{name!r}]", strengths, "different finite strengths above 0, in ascending order")
    return tuple(float(one) for one in numbers)


def members(base: Recipe, families: Sequence[Family]) -> list[tuple[str, float, Recipe]]:
    """Family, strength and recipe of every classifier, the unregularised one first."""
    own = [(family.name, strength, family.recipe(base, strength)) for family in families for strength in family.strengths]
    return [(NONE, 0.0, base), *own]
