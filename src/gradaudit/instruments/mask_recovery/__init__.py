"""Mask recovery: whether a fill hides which features were kept."""

from typing import TYPE_CHECKING

from gradaudit.lazy import lazily

if TYPE_CHECKING:
    from gradaudit.instruments.mask_recovery.audit import mask_recovery
    from gradaudit.instruments.mask_recovery.result import MaskRecoveryResult

__all__ = ["MaskRecoveryResult", "mask_recovery"]
__getattr__ = lazily(__name__, {"audit": ("mask_recovery",), "result": ("MaskRecoveryResult",)})
