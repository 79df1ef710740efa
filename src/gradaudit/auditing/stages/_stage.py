"""What the audit knows of an instrument."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gradaudit.instruments.bench import Bench
from gradaudit.instruments.contract import Score
from gradaudit.instruments.costs import Cost
from gradaudit.results import Result

__all__ = ["Options", "Score", "Stage"]

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Stage:
    """An instrument as a part of the audit.

    Args:
        name: the instrument's.
        takes: the options that a user may set.
        lacks: why a classifier can't have it, or None; told the bench, the classifier's name and the options.
        run: its result for a classifier, likewise.
        uses: what decides that result beside the classifier, the test images, the options and the seed, in JSON values, likewise:
            what is not in it can change, and the finished result still counts.
        cost: what that will take, likewise.
        scores: the numbers of its result by which classifiers can be compared, each under the words that say what it is.
    """

    name: str
    takes: frozenset[str]
    lacks: Callable[[Bench, str, Options], str | None]
    run: Callable[[Bench, str, Options], Result]
    uses: Callable[[Bench, str, Options], dict[str, Any]]
    cost: Callable[[Bench, str, Options], Cost]
    scores: Callable[[Result], dict[str, Score]]
