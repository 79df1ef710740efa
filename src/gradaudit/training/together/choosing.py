"""The way that trains most fits a second, and how many at once: timed on a few steps of the real learner."""

from __future__ import annotations

import functools
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import torch

from gradaudit.errors import require
from gradaudit.registry import Registry, Spec, options_of, parse_spec
from gradaudit.training.learners import is_whole
from gradaudit.training.recipe import Recipe
from gradaudit.training.together import ways
from gradaudit.training.together.member import Member
from gradaudit.training.together.memory import free_memory, predicted_memory

WAYS = Registry(ways.__name__, "way to train together")
ONE_BY_ONE = "one_by_one"

WARM_UP, TIMED = 3, 6  # steps
RISE = 1.05  # a larger group must train this many times the fits a second
SHARE = 0.8  # of the free memory, for what the prediction leaves out
MOST = 64
IN_TURN = 16  # fits that share one capture: enough that it costs little, few enough that progress is seen


@dataclass(frozen=True)
class Choice:
    """How the fits of one kind are trained.

    Args:
        way: the spec of the way.
        at_once: fits in a group.
        steps: steps of single fits a second, by way and group size, as far as they were timed.
        why_not: why the other ways were not timed, by name.
    """

    way: str = ONE_BY_ONE
    at_once: int = 1
    steps: Mapping[tuple[str, int], float] = field(default_factory=dict)
    why_not: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        reasons = "; ".join(f"{way}: {reason}" for way, reason in self.why_not.items())
        fits = "1 fit" if self.at_once == 1 else f"{self.at_once} fits"
        way = "one by one" if self.way == ONE_BY_ONE else f"{fits} at once, {self.way}"
        return way + (f" ({reasons})" if reasons else "")


def resolve_together(together: Any, device: torch.device) -> str:
    """`"auto"`, or the canonical spec of a way.

    Raises:
        InputError: it is neither, or it asks for `compile` where there is no compiler.
    """
    if together == "auto":
        return "auto"
    spec = parse_spec("together", together)
    bound = WAYS.bind("together", spec)
    assert isinstance(bound, functools.partial)
    compiles = bound.keywords.get("compile", False)
    require(isinstance(compiles, bool), "together", together, "given compile as true or false")
    if compiles and device.type == "cpu":
        compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
        require(compiler is not None, "together", together, "given no compile=true: this machine has no C++ compiler")
    defaults = options_of(bound.func)
    chosen = {name: value for name, value in bound.keywords.items() if value != defaults[name]}
    return str(Spec(spec.name.replace("-", "_"), chosen))


def resolve_at_once(at_once: Any) -> int | None:
    """The number of fits in a group, or None for `"auto"`.

    Raises:
        InputError: it is neither.
    """
    if at_once == "auto":
        return None
    require(is_whole(at_once) and at_once >= 1, "at_once", at_once, '"auto" or 1 or more')
    return int(at_once)


def accepted(together: str, device: torch.device) -> tuple[str, ...]:
    """The ways whose outcomes count as this run's.

    On a CPU, `"auto"` is one by one: it repeats to the last bit, which a choice by timing would not, and stacking gains little or
    nothing there. On an accelerator the outcomes of every way count: none repeats to the last bit.
    """
    if together != "auto":
        return tuple(dict.fromkeys((together, ONE_BY_ONE)))
    return (ONE_BY_ONE,) if device.type == "cpu" else (ONE_BY_ONE, *(name for name in WAYS.names() if name != ONE_BY_ONE))


def fit_together(
    way: str,
    members: Sequence[Member],
    count: int,
    recipe: Recipe,
    device: torch.device,
    after_step: Callable[[int], None] = lambda fits: None,
) -> Any:
    """What was measured of the members, as dictionaries by position: one for those that end together."""
    return WAYS.bind("together", way)(members, count, recipe, device, after_step)


def choose(
    members: Sequence[Member], count: int, recipe: Recipe, device: torch.device, *, together: str, at_once: int | None, most: int
) -> Choice:
    """The fastest way and group size for fits like these.

    Args:
        members: some of the fits, at least one; they are trained for a few steps and thrown away.
        count: number of training images.
        recipe: of all; its seed is not used.
        device: where they are trained.
        together: from `resolve_together`.
        at_once: from `resolve_at_once`.
        most: the largest group that leaves no worker without one.
    """
    why_not: dict[str, str] = {}
    possible = []
    for way in accepted(together, device):
        reason = _function(way).why_not(members[0], recipe, device)
        if reason is None:
            possible.append(way)
        else:
            why_not[way] = reason
    if together != "auto":
        possible = possible[:1]  # the way that was asked for, or else one by one
    if together == ONE_BY_ONE or possible == [ONE_BY_ONE]:
        return Choice(why_not=why_not)
    steps: dict[tuple[str, int], float] = {}
    for way in possible:
        steps |= _timed(way, members, count, recipe, device, at_once, most)
    way, size = max(steps, key=lambda at: steps[at])
    return Choice(way, size, steps, why_not)


def steps_a_second(way: str, members: Sequence[Member], count: int, recipe: Recipe, device: torch.device) -> float:
    """Steps of single fits a second, of a group in the way, after warm-up; a group in turn is its first fit."""
    group = members[:1] if _function(way).in_turn else members
    steps = WARM_UP + TIMED
    few = min(count, steps * recipe.batch_size)
    epochs = ceil(steps / ceil(few / recipe.batch_size))
    # A rate that changes next to nothing: the schedule of so short a fit could make its loss infinite.
    short = recipe.model_copy(update={"epochs": epochs, "learning_rate": 1e-6})
    watch = Stopwatch(device)
    for _ in fit_together(way, group, few, short, device, watch):
        pass
    return watch.rate


class Stopwatch:
    """Counts the steps of fits after the first few, which are slow.

    Args:
        device: it is waited for at the first and the last.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.ticks = self.fits = 0
        self.start = self.seconds = 0.0

    def __call__(self, fits: int) -> None:
        """Note that so many fits have made a step."""
        self.ticks += 1
        if self.ticks > WARM_UP:
            self.fits += fits
        if self.ticks in (WARM_UP, WARM_UP + TIMED):
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            now = time.perf_counter()
            self.start, self.seconds = now, now - self.start

    @property
    def rate(self) -> float:
        """Steps of fits a second."""
        return self.fits / self.seconds


def _timed(
    way: str, members: Sequence[Member], count: int, recipe: Recipe, device: torch.device, at_once: int | None, most: int
) -> dict[tuple[str, int], float]:
    """Steps a second by way and group size; sizes double while that pays and memory lasts."""
    if _function(way).in_turn:
        size = 1 if way == ONE_BY_ONE else at_once or max(1, min(most, IN_TURN))
        return {(way, size): steps_a_second(way, members, count, recipe, device)}
    largest = at_once or min(most, MOST, int(SHARE * free_memory(device)) // predicted_memory(members[0], count, recipe, device))
    found: dict[tuple[str, int], float] = {}
    size = at_once or 1
    before = 0.0
    while size <= max(1, largest):
        group = [members[place % len(members)] for place in range(size)]
        found[way, size] = now = steps_a_second(way, group, count, recipe, device)
        if now < RISE * before:
            break
        before, size = now, 2 * size
    return found


def _function(way: str) -> Any:
    return WAYS.function("together", parse_spec("together", way).name)
