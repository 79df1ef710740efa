"""Regimes: families of classifiers along an objective's strength, measured by the instruments, and what they turn out to be."""

from gradaudit.instruments.sweep.calling import REGIMES
from gradaudit.instruments.sweep.families import BASE, STRENGTHS, Family, read_families
from gradaudit.instruments.sweep.result import SweepResult
from gradaudit.instruments.sweep.sweeping import sweep

__all__ = ["BASE", "REGIMES", "STRENGTHS", "Family", "SweepResult", "read_families", "sweep"]
