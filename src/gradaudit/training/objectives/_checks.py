"""Checks that several objectives share."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

from gradaudit.errors import require


def require_amount(argument: str, value: Any) -> None:
    """Raise `InputError` unless `value` is a finite number, 0 or more."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    require(number and 0 <= value < math.inf, argument, value, "a finite number, 0 or more")
