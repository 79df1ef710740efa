"""Many fits at once on one device: ways to train a group, and the choice of the fastest."""

from gradaudit.training.together.choosing import (
    ONE_BY_ONE,
    WAYS,
    Choice,
    accepted,
    choose,
    fit_together,
    resolve_at_once,
    resolve_together,
    steps_a_second,
)
from gradaudit.training.together.member import Member

__all__ = [
    "ONE_BY_ONE",
    "WAYS",
    "Choice",
    "Member",
    "accepted",
    "choose",
    "fit_together",
    "resolve_at_once",
    "resolve_together",
    "steps_a_second",
]
