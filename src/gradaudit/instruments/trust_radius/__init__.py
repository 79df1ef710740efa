"""The trust radius: how far from an image its gradient still predicts what happens to the classifier's margin."""

from typing import TYPE_CHECKING

from gradaudit.lazy import lazily

if TYPE_CHECKING:
    from gradaudit.instruments.trust_radius.audit import trust_radius
    from gradaudit.instruments.trust_radius.result import TrustRadiusResult

__all__ = ["TrustRadiusResult", "trust_radius"]
__getattr__ = lazily(__name__, {"audit": ("trust_radius",), "result": ("TrustRadiusResult",)})
