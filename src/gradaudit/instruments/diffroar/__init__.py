"""DiffROAR: retraining on the top- and bottom-ranked features (Shah, Jain and Netrapalli, 2021)."""

from gradaudit.instruments.diffroar.audit import Grid, diffroar
from gradaudit.instruments.diffroar.audit import prepare as prepare_diffroar
from gradaudit.instruments.diffroar.differences import CounterfactualDifferencesResult
from gradaudit.instruments.diffroar.grid import Plan
from gradaudit.instruments.diffroar.result import DiffROARResult

__all__ = ["CounterfactualDifferencesResult", "DiffROARResult", "Grid", "Plan", "diffroar", "prepare_diffroar"]
