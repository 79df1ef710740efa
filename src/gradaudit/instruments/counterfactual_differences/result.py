"""DiffROAR of what counterfactuals change: a result of its own, which says how the counterfactuals came about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

from gradaudit.instruments.diffroar.result import DiffROARResult
from gradaudit.results import Verdict

DIFFERENCES = "counterfactual differences"
REACHED = 0.95  # share of counterfactuals in another class below which a reader is told


@dataclass(frozen=True, eq=False)
class CounterfactualDifferencesResult(DiffROARResult):
    """DiffROAR's result of counterfactual differences, the first attribution, and of those that stand beside.

    `settings["counterfactuals"]` says how they came about: `method`, `targets`, and `left_their_class`, the share of the test
    images whose counterfactual the classifier gives another class.
    """

    kind: ClassVar[str] = "counterfactual_differences"

    @cached_property
    def verdicts(self) -> dict[str, Verdict]:
        """The verdict of each attribution; that of the differences says first what a reader must know of them."""
        found = dict(super().verdicts)
        first, made = found[DIFFERENCES], self.settings["counterfactuals"]
        said = _caveats(made, None if self.of_values else self.settings["train_images"])
        return found | {DIFFERENCES: replace(first, caveats=(*said, *first.caveats))}


def of_differences(result: DiffROARResult, made: Mapping[str, Any]) -> CounterfactualDifferencesResult:
    """The result of DiffROAR whose first attribution is `DIFFERENCES`, with how the counterfactuals were made."""
    settings = result.settings | {"counterfactuals": dict(made)}
    found = CounterfactualDifferencesResult(result.table, result.verdict, settings, result.details, result.versions)
    return replace(found, verdict=found.verdicts[DIFFERENCES])


def _caveats(made: Mapping[str, Any], fitted: int | None) -> Iterator[str]:
    """What a reader must know of the counterfactuals; `fitted` is the number of training images of learners, None of evaluators."""
    if fitted is not None:
        yield (
            f"counterfactuals by {made['method']} lead from the class that the classifier sees to its second guess: where they"
            f" change"
            " an image tells of both, and so may tell the label before a pixel is seen; what the pixels say is DiffROAR given the"
            " mask"
        )
        yield (
            f"learners saw {fitted:,} training images: compare it with the gradient's curve beside it, which is of the same images,"
            " and not with DiffROAR on more of them"
        )
    if made["left_their_class"] < REACHED:
        share = f"{100 * made['left_their_class']:.3g} %"
        yield f"only {share} of the counterfactuals left their class: the others show how far the method came"
