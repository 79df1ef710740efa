"""The planted maps: attribution maps whose quality is known without any instrument, and what each instrument said of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """A measure's scale.

    Args:
        low: its left end.
        high: its right end.
        curve: pairs of a value, ascending, and the share of the planted maps with such values that were good.
    """

    low: float
    high: float
    curve: tuple[tuple[float, float], ...]


def scale(measure: str) -> Scale | None:
    """The calibrated scale of a measure, by its name in the table; None where there is none."""
    # PROVISIONAL
    steps = [place / 20 for place in range(-6, 21)]
    return Scale(-0.3, 1.0, tuple((one, min(1.0, max(0.0, (one - 0.1) / 0.5))) for one in steps)) if measure else None
