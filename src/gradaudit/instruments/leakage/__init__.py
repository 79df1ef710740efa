"""Leakage: whether attributions stay on the part of the image that carries the label, where that part is known."""

from typing import TYPE_CHECKING

from gradaudit.lazy import lazily

if TYPE_CHECKING:
    from gradaudit.instruments.leakage.audit import leakage
    from gradaudit.instruments.leakage.boxes import mask_from_boxes
    from gradaudit.instruments.leakage.noise import sensitivity
    from gradaudit.instruments.leakage.result import LeakageResult
    from gradaudit.instruments.leakage.sensitivity_result import SensitivityResult
    from gradaudit.instruments.leakage.triggers import verified_triggers

__all__ = ["LeakageResult", "SensitivityResult", "leakage", "mask_from_boxes", "sensitivity", "verified_triggers"]
__getattr__ = lazily(
    __name__,
    {
        "audit": ("leakage",),
        "boxes": ("mask_from_boxes",),
        "noise": ("sensitivity",),
        "result": ("LeakageResult",),
        "sensitivity_result": ("SensitivityResult",),
        "triggers": ("verified_triggers",),
    },
)
