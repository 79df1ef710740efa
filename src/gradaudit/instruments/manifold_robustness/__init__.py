"""Manifold robustness: how much a classifier's output changes under noise on the data manifold and off it."""

from typing import TYPE_CHECKING

from gradaudit.lazy import lazily

if TYPE_CHECKING:
    from gradaudit.instruments.manifold_robustness.audit import manifold_robustness
    from gradaudit.instruments.manifold_robustness.result import ManifoldRobustnessResult, Ratio

__all__ = ["ManifoldRobustnessResult", "Ratio", "manifold_robustness"]
__getattr__ = lazily(__name__, {"audit": ("manifold_robustness",), "result": ("ManifoldRobustnessResult", "Ratio")})
