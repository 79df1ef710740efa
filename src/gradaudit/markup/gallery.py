"""Some images with the scores that classifiers and controls give them, for the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gradaudit.attributions import AttributionLike, attribute_all, named_controls, resolve_attribution
from gradaudit.images import ImageSet
from gradaudit.markup.pictures import Pictures
from gradaudit.results import Result


def gallery(
    classifiers: Mapping[str, nn.Module],
    images: ImageSet,
    attribution: AttributionLike = "logit_gradient",
    *,
    target: str = "label",
    controls: Sequence[str] = (),
    count: int = 8,
    seed: int = 0,
    first: Sequence[int] = (),
) -> Pictures:
    """Up to `count` images, each of another class as far as there are, with the attribution by each classifier and control.

    Args:
        classifiers: by the names that the page gives them.
        images: from which some are drawn; a signal mask of theirs is outlined.
        attribution: what is shown; precomputed scores are those of all `images`.
        target: the class that is attributed: the `"label"` or the `"predicted"` one.
        controls: names of controls to show beside; one that needs a classifier for each of them.
        count: number of images, 1 or more.
        seed: of the draw, and of attributions that draw.
        first: which images to begin with, by index.
    """
    places = _begun_with(first, _one_of_each_class(images, count + len(first), seed), images)[:count]
    chosen = images[places]
    resolved = resolve_attribution(attribution, seed=seed)
    wanted: AttributionLike = resolved if resolved.scores is None else resolved.scores[places]

    def scores(classifier: nn.Module | None, shown: AttributionLike) -> Tensor:
        return attribute_all(classifier, chosen, shown, target=target, seed=seed, device="cpu", warn=False)

    return Pictures(
        chosen.floats(),
        [chosen.classes[label] for label in chosen.labels],
        {name: scores(classifier, wanted) for name, classifier in classifiers.items()},
        dict(_of_controls(controls, classifiers, seed, scores)),
        chosen.signal_mask,
    )


def gallery_of(result: Result, name: str, classifier: nn.Module, images: ImageSet, attribution: Any) -> Pictures:
    """Some images with the first of the attributions by the classifier and by the result's controls, as the result has them."""
    first = attribution[0] if isinstance(attribution, (list, tuple)) else attribution
    settings = result.settings
    options = {"target": settings["target"], "controls": settings["controls"], "seed": settings["seed"]}
    return gallery({name: classifier}, images, first, **options)


def _of_controls(
    controls: Sequence[str], classifiers: Mapping[str, nn.Module], seed: int, scores: Callable[..., Tensor]
) -> Iterator[tuple[str, Tensor]]:
    """The scores of each control, once where it needs no classifier or there is one, else of each classifier under both names."""
    for name, one in named_controls(controls, seed).items():
        if not one.needs_classifier:
            yield name, scores(None, one)
        else:
            for owner, classifier in classifiers.items():
                yield (name if len(classifiers) == 1 else f"{name}, {owner}"), scores(classifier, one)


def _begun_with(first: Sequence[int], drawn: Sequence[int], images: ImageSet) -> list[int]:
    """The first ones, then those drawn: of classes that are not among the first, then the others."""
    labels = images.labels.tolist()
    shown = {labels[place] for place in first}
    rest = sorted((place for place in drawn if place not in first), key=lambda place: labels[place] in shown)
    return [*first, *rest]


def _one_of_each_class(images: ImageSet, count: int, seed: int) -> list[int]:
    """Indices in a random order of classes, the first of each class in a random order of images; then others."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed)).tolist()
    labels = images.labels.tolist()
    first = {labels[place]: place for place in reversed(order)}
    rest = [place for place in order if first[labels[place]] != place]
    return [first[label] for label in sorted(first)][:count] + rest[: max(0, count - len(first))]
