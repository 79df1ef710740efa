"""Groups of cells that train together: what is alike, how each kind is trained, and how many at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any

import torch

from gradaudit.devices import one_thread
from gradaudit.instruments.diffroar.cells import Cell, Placement, Split, member_of
from gradaudit.instruments.diffroar.fillings import Filling
from gradaudit.training.together import ONE_BY_ONE, Choice, Member, accepted, choose

SAMPLE = 64  # fits of a kind that stand for all when ways are timed


@dataclass(frozen=True)
class Job:
    """A cell with its data and its key in the store; and, where its fill is costly, the fillings of training and test images."""

    cell: Cell
    train: Split
    test: Split
    description: dict[str, Any]
    fillings: tuple[Filling, ...] = ()

    def filled(self, splits: Iterable[Split]) -> Job:
        """The same job on images that come filled, so that no worker needs the fill."""
        train, test = splits
        return replace(self, cell=replace(self.cell, fill=None), train=train, test=test, fillings=())

    @property
    def kind(self) -> tuple[Any, ...]:
        """Fits with this in common have learners of one shape, a recipe but for the seed, and as many training images."""
        beside = self.train.mask_channels if self.cell.content == "both" else 0
        recipe = self.cell.recipe.model_copy(update={"seed": 0})
        return (*self.train.images.shape, beside, str(recipe), len(self.test.labels))


@dataclass(frozen=True, eq=False)
class Together:
    """How fits are trained: as it was asked for, or as it turned out fastest for their kind.

    Args:
        classes: of the learners.
        device: where they are fitted.
        workers: groups at once.
        together: from `resolve_together`.
        at_once: from `resolve_at_once`.
    """

    classes: int
    device: torch.device
    workers: int
    together: str = ONE_BY_ONE
    at_once: int | None = None
    _choices: dict[tuple[Any, ...], Choice] = field(default_factory=dict)

    @property
    def accepted(self) -> tuple[str, ...]:
        """The ways whose outcomes in the store count."""
        return accepted(self.together, self.device)

    def choice(self, jobs: Sequence[Job]) -> Choice:
        """How these jobs of one kind are trained; found once for a kind."""
        kind = jobs[0].kind
        if kind not in self._choices:
            first, most = jobs[0], max(1, len(jobs) // self.workers)
            sample = members(jobs[:SAMPLE], self.classes, self.device)
            with one_thread():
                self._choices[kind] = choose(
                    sample,
                    len(first.train.labels),
                    first.cell.recipe,
                    self.device,
                    together=self.together,
                    at_once=self.at_once,
                    most=most,
                )
        return self._choices[kind]

    def groups(self, pending: Mapping[str, Job]) -> list[tuple[Choice, list[str]]]:
        """The keys of the jobs in groups of nearly equal size, each of one kind, with how it is trained; in the order given."""
        alike: dict[tuple[Any, ...], list[str]] = {}
        for key, job in pending.items():
            alike.setdefault(job.kind, []).append(key)
        found = []
        for keys in alike.values():
            choice = self.choice([pending[key] for key in keys])
            count = ceil(len(keys) / choice.at_once)
            found += [(choice, keys[place::count]) for place in range(count)]
        return found


def members(jobs: Iterable[Job], classes: int, device: torch.device) -> list[Member]:
    """The jobs as members of a group for trials, in which what was filled in does not count."""
    place = Placement(device)
    found = [standing_in(job) for job in jobs]
    return [member_of(job.cell, job.train, job.test, classes, place) for job in found]


def standing_in(job: Job) -> Job:
    """The job with unfilled images in the place of those that a costly fill makes: no step takes longer or shorter for it."""
    return job.filled(replace(split, filled=True) for split in (job.train, job.test)) if job.fillings else job
