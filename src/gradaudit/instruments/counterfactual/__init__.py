"""Counterfactuals: what would have to change in an image for another class, and whether others see that class too."""

from typing import TYPE_CHECKING

from gradaudit.lazy import lazily

if TYPE_CHECKING:
    from gradaudit.instruments.counterfactual.arguments import METHODS
    from gradaudit.instruments.counterfactual.audit import counterfactual
    from gradaudit.instruments.counterfactual.differences import counterfactual_differences
    from gradaudit.instruments.counterfactual.problem import Problem, Solution
    from gradaudit.instruments.counterfactual.result import CounterfactualResult

__all__ = ["METHODS", "CounterfactualResult", "Problem", "Solution", "counterfactual", "counterfactual_differences"]
__getattr__ = lazily(
    __name__,
    {
        "arguments": ("METHODS",),
        "audit": ("counterfactual",),
        "differences": ("counterfactual_differences",),
        "problem": ("Solution", "Problem"),
        "result": ("CounterfactualResult",),
    },
)
