"""Fidelity: whether a classifier uses the pixels that its attribution ranks first; the classifier is asked, nothing is trained."""

from typing import TYPE_CHECKING

from gradaudit.lazy import lazily

if TYPE_CHECKING:
    from gradaudit.instruments.fidelity.audit import fidelity
    from gradaudit.instruments.fidelity.result import FidelityResult

__all__ = ["FidelityResult", "fidelity"]
__getattr__ = lazily(__name__, {"audit": ("fidelity",), "result": ("FidelityResult",)})
