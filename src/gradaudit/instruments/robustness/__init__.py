"""Robustness: how large a perturbation a classifier withstands, by attack, by certificate and on average."""

from gradaudit.instruments.robustness.audit import robustness
from gradaudit.instruments.robustness.methods import ATTACKS
from gradaudit.instruments.robustness.result import RobustnessResult

__all__ = ["ATTACKS", "RobustnessResult", "robustness"]
