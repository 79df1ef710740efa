"""All classifiers of a sweep on as many workers as there are; what the store has is not done again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gradaudit.instruments.sweep.measure import Bench, run
from gradaudit.training import Recipe
from gradaudit.training.backends import Backend
from gradaudit.training.workers import run_all


@dataclass(frozen=True)
class Job:
    """One classifier: its family and strength, how it is trained, and its outcome's key in the store."""

    family: str
    strength: float
    recipe: Recipe
    description: dict[str, Any]

    @property
    def title(self) -> str:
        """The classifier in words."""
        return f"{self.family} {self.strength:g}"


def run_jobs(jobs: Sequence[Job], bench: Bench, *, backend: Backend, workers: int, show_progress: bool) -> list[dict[str, Any]]:
    """The outcome of every job, in the jobs' order.

    Raises:
        StoreError: an outcome can't be written; what was finished before is kept.
        TrainingError: a loss is no longer finite.
    """
    outcomes = {place: bench.store.get(job.description) for place, job in enumerate(jobs)}
    pending = sorted((place for place in outcomes if outcomes[place] is None), key=lambda place: -passes(jobs[place].recipe))
    finished = run_all(
        _placed,
        ((place, jobs[place], bench) for place in pending),
        len(pending),
        backend=backend,
        workers=workers,
        title="training and measuring classifiers",
        show_progress=show_progress,
        note=lambda found: jobs[found[0]].title,
    )
    outcomes.update(finished)
    return [outcome for outcome in outcomes.values() if outcome is not None]


def _placed(place: int, job: Job, bench: Bench) -> tuple[int, dict[str, Any]]:
    return place, run(job.recipe, job.description, bench)


def passes(recipe: Recipe) -> int:
    """Roughly what a step costs: the longest are begun first, so that no worker is left with one at the end."""
    steps = recipe.objective_options().get("steps", 0)
    return steps if isinstance(steps, int) else 0
