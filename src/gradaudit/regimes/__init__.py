"""Regimes: families of classifiers along an objective's strength, measured by the instruments, and what they turn out to be."""

from gradaudit.regimes.calling import REGIMES
from gradaudit.regimes.families import BASE, STRENGTHS, Family, read_families
from gradaudit.regimes.load import load_result
from gradaudit.regimes.result import SweepResult
from gradaudit.regimes.sweeping import sweep

__all__ = ["BASE", "REGIMES", "STRENGTHS", "Family", "SweepResult", "load_result", "read_families", "sweep"]
