"""Sweeps: families of classifiers along an objective's strength, measured by the instruments, and what they turn out to be."""

from typing import TYPE_CHECKING

from gradaudit.lazy import lazily

if TYPE_CHECKING:
    from gradaudit.instruments.sweep.families import BASE, Family, read_families
    from gradaudit.instruments.sweep.options import STRENGTHS
    from gradaudit.instruments.sweep.regimes import REGIMES
    from gradaudit.instruments.sweep.result import SweepResult
    from gradaudit.instruments.sweep.sweeping import sweep

__all__ = ["BASE", "REGIMES", "STRENGTHS", "Family", "SweepResult", "read_families", "sweep"]
__getattr__ = lazily(
    __name__,
    {
        "regimes": ("REGIMES",),
        "families": ("BASE", "Family", "read_families"),
        "options": ("STRENGTHS",),
        "result": ("SweepResult",),
        "sweeping": ("sweep",),
    },
)
