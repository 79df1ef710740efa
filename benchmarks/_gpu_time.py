"""One limit for all parts of a run on a GPU, shared out by weights; and work that is planned by the time it has."""

from __future__ import annotations

import time
from collections.abc import Sequence

SHARE = 0.85  # of its time that work is planned to take: what was timed in a trial is a little slower or faster


def allotted(left: float, weights: Sequence[float]) -> float:
    """Seconds of those left that belong to the first of the parts that are still to come, by their weights."""
    return max(0.0, left) * weights[0] / sum(weights)


def affordable(seconds: float, each: float, most: int, least: int = 1) -> int:
    """How many pieces of work, of so many seconds each, fit into the seconds; at least and at most so many."""
    return most if each <= 0 else max(least, min(most, int(SHARE * seconds / each)))


class Deadline:
    """A moment by which work is to end.

    Args:
        until: seconds as of `time.time()`.
    """

    def __init__(self, until: float) -> None:
        self.until = until

    @property
    def left(self) -> float:
        """Seconds; below 0 when it is past."""
        return self.until - time.time()

    def share(self, part: float) -> Deadline:
        """The deadline of work that may take this part of the time left."""
        return Deadline(time.time() + part * max(0.0, self.left))
