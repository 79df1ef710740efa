"""What a way says of itself beside its signature."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch

from gradaudit.training.recipe import Recipe
from gradaudit.training.together.member import Member

Way = Callable[..., Iterator[dict[int, Any]]]
WhyNot = Callable[[Member, Recipe, torch.device], str | None]
F = TypeVar("F", bound=Way)


def marked(why_not: WhyNot, *, in_turn: bool = False) -> Callable[[F], F]:
    """Mark a way.

    Args:
        why_not: says in a few words why such a fit can't be trained so on that device, or gives None where it can.
        in_turn: whether the fits of a group run one after the other, so that more of them take no more memory.
    """

    def mark(way: F) -> F:
        way.__dict__.update(why_not=why_not, in_turn=in_turn)
        return way

    return mark
