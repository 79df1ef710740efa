"""Ways of doing one thing, timed side by side."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any


def in_turn(ways: Mapping[str, Callable[[int], Any]], rounds: int) -> tuple[dict[str, list[float]], dict[str, list[Any]]]:
    """Seconds and what was found, by way and round: in each round every way once, so that all meet the same machine.

    Args:
        ways: each takes the number of the round; what it needs to be warm comes before.
        rounds: at least 1.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, list[Any]] = {name: [] for name in ways}
    for number in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            found[name].append(way(number))
            settle()
            seconds[name].append(time.perf_counter() - start)
    return seconds, found


def settle() -> None:
    """Wait for what CUDA was given; nothing on a CPU."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def compared(above: list[float], below: list[float], times: float = 1.0) -> dict[str, Any]:
    """`ratio` and `spread` of a row: the median of the ratios within a round, and the lowest and the highest of several rounds."""
    ratios = [one / (times * other) for one, other in zip(above, below, strict=True)]
    return {"ratio": statistics.median(ratios), "spread": (min(ratios), max(ratios)) if len(ratios) > 1 else None}
