"""Leakage: whether attributions stay on the part of the image that carries the label, where that part is known."""

from gradaudit.instruments.leakage.audit import leakage
from gradaudit.instruments.leakage.boxes import mask_from_boxes
from gradaudit.instruments.leakage.result import LeakageResult
from gradaudit.instruments.leakage.sensitivity import sensitivity
from gradaudit.instruments.leakage.sensitivity_result import SensitivityResult
from gradaudit.instruments.leakage.triggers import verified_triggers

__all__ = ["LeakageResult", "SensitivityResult", "leakage", "mask_from_boxes", "sensitivity", "verified_triggers"]
