"""All classifiers of a sweep on as many workers as there are; what the store has is not done again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gradaudit.instruments.sweep.measure import SweepInputs, outcome_of
from gradaudit.training import Recipe
from gradaudit.training.backends import Backend
from gradaudit.training.workers import run_all


@dataclass(frozen=True)
class PlannedClassifier:
    """One classifier: its family and strength, how it is trained, and its outcome's key in the store."""

    family: str
    strength: float
    recipe: Recipe
    description: dict[str, Any]

    @property
    def title(self) -> str:
        """The classifier in words."""
        return f"{self.family} {self.strength:g}"


def run_planned(
    planned: Sequence[PlannedClassifier], inputs: SweepInputs, *, backend: Backend, workers: int, show_progress: bool
) -> list[dict[str, Any]]:
    """The outcome of every planned classifier, in their order.

    Raises:
        StoreError: an outcome can't be written; what was finished before is kept.
        TrainingError: a loss is no longer finite.
    """
    outcomes = {place: inputs.store.get(one.description) for place, one in enumerate(planned)}
    pending = sorted((place for place in outcomes if outcomes[place] is None), key=lambda place: -passes(planned[place].recipe))
    finished = run_all(
        _placed,
        ((place, planned[place], inputs) for place in pending),
        len(pending),
        backend=backend,
        workers=workers,
        title="training and measuring classifiers",
        show_progress=show_progress,
        note=lambda found: planned[found[0]].title,
    )
    outcomes.update(finished)
    return [outcome for outcome in outcomes.values() if outcome is not None]


def _placed(place: int, one: PlannedClassifier, inputs: SweepInputs) -> tuple[int, dict[str, Any]]:
    return place, outcome_of(one.recipe, one.description, inputs)


def passes(recipe: Recipe) -> int:
    """Roughly what a step costs: the longest are begun first, so that no worker is left with one at the end."""
    steps = recipe.objective_options().get("steps", 0)
    return steps if isinstance(steps, int) else 0
