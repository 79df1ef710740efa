"""Counterfactual differences: what counterfactuals change, as an attribution that DiffROAR judges."""

from typing import TYPE_CHECKING

from gradaudit.lazy import lazily

if TYPE_CHECKING:
    from gradaudit.instruments.counterfactual_differences.result import CounterfactualDifferencesResult

__all__ = ["CounterfactualDifferencesResult"]
__getattr__ = lazily(__name__, {"result": ("CounterfactualDifferencesResult",)})
