"""The rows of alignment's table: what is compared with what, and the controls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

RANDOM = "control: random"
EDGES = "control: edges"
FIXED = (RANDOM, EDGES)  # the controls that know no classifier


class Row(NamedTuple):
    """A row of the table."""

    gradient: str
    score: str
    sigma: float
    similarity: str


def other_image(gradient: str) -> str:
    """The table's name for the control of a gradient: the same gradient, but taken at another image."""
    return f"control: {gradient} of another image"


def fixed_controls(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The controls that know no classifier and were measured: a result written before there were edges has noise alone."""
    return tuple(settings.get("fixed_controls", (RANDOM,)))


def rows(
    gradients: Iterable[str],
    scores: Sequence[str],
    sigmas: Sequence[float],
    similarities: Sequence[str],
    fixed: Sequence[str] = FIXED,
) -> list[Row]:
    """All rows in their order, the controls last."""
    names = list(gradients)
    names += [*map(other_image, names), *fixed]
    return [Row(*one) for one in ((g, s, sigma, m) for g in names for s in scores for sigma in sigmas for m in similarities)]
