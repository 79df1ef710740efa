"""Robustness: how large a perturbation a classifier withstands, by attack, by certificate and on average."""

from typing import TYPE_CHECKING

from gradaudit.lazy import lazily

if TYPE_CHECKING:
    from gradaudit.instruments.robustness.audit import robustness
    from gradaudit.instruments.robustness.methods import ATTACKS
    from gradaudit.instruments.robustness.result import RobustnessResult

__all__ = ["ATTACKS", "RobustnessResult", "robustness"]
__getattr__ = lazily(__name__, {"audit": ("robustness",), "methods": ("ATTACKS",), "result": ("RobustnessResult",)})
