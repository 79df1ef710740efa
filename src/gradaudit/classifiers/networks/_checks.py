"""Checks that the networks share."""

from __future__ import annotations

from typing import Any

from gradaudit.errors import require, require_whole


def require_count(argument: str, value: Any) -> None:
    """Raise `InputError` unless `value` is a whole number above 0."""
    require_whole(argument, value, 1)


def require_side(network: str, input_shape: tuple[int, int, int], stride: int) -> None:
    """Raise `InputError` unless both sides of the image are at least the network's total stride."""
    expected = f"at least {stride} pixels high and wide for {network}"
    require(min(input_shape[1:]) >= stride, "input_shape", input_shape, expected)
