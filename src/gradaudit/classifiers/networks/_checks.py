"""Checks that the networks share."""

from __future__ import annotations

from gradaudit.errors import require


def require_side(network: str, input_shape: tuple[int, int, int], stride: int) -> None:
    """Raise `InputError` unless both sides of the image are at least the network's total stride."""
    expected = f"at least {stride} pixels high and wide for {network}"
    require(min(input_shape[1:]) >= stride, "input_shape", input_shape, expected)
