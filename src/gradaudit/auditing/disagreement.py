"""Images about which two compared classifiers disagree: each changes its mind while the other keeps its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from gradaudit.classifiers import check_classifier, classifier_fingerprint
from gradaudit.diffusion import Denoiser
from gradaudit.errors import require
from gradaudit.images import ImageSet
from gradaudit.instruments.counterfactual import CounterfactualResult, counterfactual
from gradaudit.instruments.counterfactual.options import CounterfactualOptions
from gradaudit.options import Specs, declared, option
from gradaudit.results import Result

if TYPE_CHECKING:
    from gradaudit.instruments.counterfactual.arguments import MethodLike

SEEN_BY = ("before", "after")  # whose mind is changed


@dataclass(frozen=True, kw_only=True)
class DisagreementOptions(CounterfactualOptions):
    """The options of `compare`, of what is done with the classifiers where they are given."""

    method: MethodLike | Sequence[MethodLike] = option(
        "svce",
        Specs(),
        "how images are changed: a method of `counterfactual` or a list; with a denoiser `dvce` shows more",
    )


def check_pair(classifiers: Any, images: Any, audited: Mapping[str, Mapping[str, Result]]) -> None:
    """Raise `InputError` unless they are the two audited classifiers, with images.

    Args:
        classifiers: what was given.
        images: likewise.
        audited: the results of the one before and of the one after.
    """
    expected = "the audited classifier before and the one after, two modules"
    good = isinstance(classifiers, Sequence) and len(classifiers) == 2
    require(good and all(isinstance(one, nn.Module) for one in classifiers), "classifiers", classifiers, expected)
    require(isinstance(images, ImageSet), "images", type(images).__name__, "an ImageSet, on which the classifiers may disagree")
    marks = []
    for (when, results), classifier in zip(audited.items(), classifiers, strict=True):
        module, _ = check_classifier(classifier, images, f"classifiers[{when}]")
        marks.append(classifier_fingerprint(module))
        known = {result.settings.get("classifier") for result in results.values()} - {None}
        named = f"the one that was audited {when}, with the weights that it had"
        require(not known or marks[-1] in known, f"classifiers[{when}]", type(classifier).__name__, named)
    require(marks[0] != marks[1], "classifiers", "twice the same", "two classifiers that can disagree")


def disagreements(
    classifiers: Sequence[nn.Module],
    images: ImageSet,
    denoiser: Denoiser | None,
    robust: nn.Module | None,
    oracles: Mapping[str, nn.Module] | None,
    options: DisagreementOptions,
) -> dict[str, CounterfactualResult]:
    """For the classifier before and for the one after the counterfactuals by which it changes its mind and the other does not."""
    given = {name: getattr(options, name) for name in declared(DisagreementOptions)}
    pairs = zip(SEEN_BY, classifiers, reversed(classifiers), strict=True)
    return {
        who: counterfactual(one, images, "second", denoiser, robust=robust, oracles=oracles, against=other, **given)
        for who, one, other in pairs
    }
