"""DiffROAR: what top- and bottom-ranked features tell of the label (Shah, Jain and Netrapalli, 2021), read or retrained."""

from gradaudit.instruments.diffroar.audit import diffroar
from gradaudit.instruments.diffroar.audit import prepare as prepare_diffroar
from gradaudit.instruments.diffroar.grid import Plan
from gradaudit.instruments.diffroar.result import DiffROARResult
from gradaudit.instruments.diffroar.retraining import Grid
from gradaudit.instruments.diffroar.values import Values

__all__ = ["DiffROARResult", "Grid", "Plan", "Values", "diffroar", "prepare_diffroar"]
