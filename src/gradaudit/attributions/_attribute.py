"""Every image attributed, batch by batch: all scores of a large set are never in memory at once."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.attributions._completeness import FEW, Promise, doubt, promise_of
from gradaudit.attributions._gradients import check_targets
from gradaudit.attributions._resolve import Attribution, AttributionLike, resolve_attribution
from gradaudit.attributions._scores import check_precomputed, checked, read_precomputed
from gradaudit.batching import CPU_CAP, batch_size_for, check_logits, evaluating, halving, placed
from gradaudit.classifiers import with_logits
from gradaudit.devices import resolve_device
from gradaudit.errors import CompletenessWarning, InputError, is_whole, require
from gradaudit.images import ImageSet
from gradaudit.memory import at_most
from gradaudit.noise import image_keys
from gradaudit.progress import Advance

Scores = Iterator[tuple[slice, Tensor]]
Targets = Callable[[slice | list[int], Tensor], Tensor]
"""From a batch's places in the set and its images, on the device, to a target for each."""

ARRAYS = 8  # of the images of a batch that an attribution without a classifier holds at once
TARGETS = ("label", "predicted", "random", "all")


def attribute(
    classifier: nn.Module | None,
    images: ImageSet,
    attribution: AttributionLike,
    *,
    target: str | Tensor = "label",
    seed: int = 0,
    batch_size: int | str = "auto",
    device: str | torch.device = "auto",
    progress: Advance | None = None,
    warn: bool = True,
) -> Scores:
    """A stream of (slice of the set, its scores), in order; scores are finite float32 (n, C, H, W) on the device.

    All arguments are checked, and the attribution is tried on the first images, before this returns.

    Args:
        classifier: images in [0, 1] to logits (N, K), in evaluation mode meanwhile; None will do for what needs none.
        images: to attribute.
        attribution: whatever `resolve_attribution` takes.
        target: whose logit, loss or softmax: the `"label"`, the class `"predicted"`, one drawn at `"random"` from the images'
            classes for each image, or int64 (N,) from 0 to K - 1. With `"all"` the attribution runs once for every class of the
            images, and the scores are the sums of its magnitudes. What knows no classifier is the same for every target.
        seed: of attributions and targets that are drawn at random; an image's draws do not depend on the batch.
        batch_size: images at once; `"auto"` measures what fits. Halved when memory runs out.
        device: where to compute; a classifier that is elsewhere is copied there.
        progress: told the number of images done after each batch.
        warn: try up to 8 images, where the method promises that scores add up to something, and warn where they don't.

    Raises:
        InputError: an argument is not as above; a score, now or later in the stream, has the wrong shape or dtype, or is
            NaN or infinite.

    Warns:
        CompletenessWarning: the scores miss what the method promises by more than 10 %.
    """
    automatic = batch_size == "auto"
    integer = is_whole(batch_size) and batch_size >= 1
    require(automatic or integer, "batch_size", batch_size, '"auto" or a whole number, 1 or more')
    ready = _ready(classifier, images, attribution, target, seed, device)
    size = _size(ready.model, images, ready.place) if automatic else int(batch_size)
    work = partial(_scores, ready)
    work(slice(0, min(2, size, len(images))))
    if warn:
        _told(ready, ready.found.name)
    return _stream(work, len(images), size, progress)


def check_complete(
    classifier: nn.Module,
    images: ImageSet,
    attributions: Mapping[str, Attribution],
    *,
    target: str | Tensor = "label",
    seed: int = 0,
    device: str | torch.device = "auto",
) -> tuple[str, ...]:
    """What must be known of maps by those attributions that promise to add up to something, and do not: a sentence for each.

    Up to 8 of the images are tried; of `target="all"` the first class.

    Args:
        classifier: as for `attribute`, likewise what follows.
        images: from which some are tried.
        attributions: by the names that the sentences give them.
        target: as for `attribute`.
        seed: as for `attribute`.
        device: as for `attribute`.

    Raises:
        InputError: as `attribute`.

    Warns:
        CompletenessWarning: of each such attribution.
    """
    marked = {name: one for name, one in attributions.items() if promise_of(one) is not None}
    told = (_told(_ready(classifier, images, one, target, seed, device), name) for name, one in marked.items())
    return tuple(text for text in told if text is not None)


class _Ready(NamedTuple):
    """An attribution with all that it needs, checked."""

    found: Attribution
    model: nn.Module | None
    images: ImageSet
    targets: Sequence[Targets]
    place: torch.device


def _ready(
    classifier: nn.Module | None,
    images: ImageSet,
    attribution: AttributionLike,
    target: str | Tensor,
    seed: int,
    device: str | torch.device,
) -> _Ready:
    found = resolve_attribution(attribution, seed=seed)
    place = torch.empty(0, device=resolve_device(device)).device
    if found.scores is not None:
        check_precomputed(found.scores, images)
    model = _on_device(classifier, place, found.name) if found.needs_classifier else None
    model = None if model is None else with_logits(model, images)
    found = found if model is None else _prepared(found, model)
    return _Ready(found, model, images, _targets(target, images, model, place, seed), place)


def _prepared(found: Attribution, model: nn.Module) -> Attribution:
    """With what it does for the classifier done once, where it can be."""
    function: Any = found.function
    whole, options = (function.func, function.keywords) if isinstance(function, partial) else (function, {})
    prepare = getattr(whole, "prepared_once", None)
    if prepare is None:
        return found
    with evaluating(model), torch.inference_mode(False):
        return replace(found, function=prepare(model, **options))


def _told(ready: _Ready, name: str) -> str | None:
    """Warn where the scores of some images do not add up to what is promised, and say what the warning says."""
    promise, model = promise_of(ready.found), ready.model
    if promise is None or model is None:
        return None
    places = np.linspace(0, len(ready.images) - 1, min(FEW, len(ready.images))).astype(int).tolist()

    def work(part: slice) -> tuple[Promise | None, Tensor]:
        batch = ready.images.floats(places[part], ready.place)
        targets = ready.targets[0](places[part], batch).to(ready.place)
        scores = checked(_run(ready.found, model, batch, targets), ready.found.name, batch, part.start)
        return promise(model, batch, targets), scores

    found = [one for _, one in halving(work, len(places), FEW)]
    text = doubt(name, *zip(*found, strict=True))
    if text is not None:
        warnings.warn(text, CompletenessWarning, stacklevel=3)
    return text


def attribute_all(
    classifier: nn.Module | None,
    images: ImageSet,
    attribution: AttributionLike,
    *,
    target: str | Tensor = "label",
    seed: int = 0,
    batch_size: int | str = "auto",
    device: str | torch.device = "auto",
    progress: Advance | None = None,
    warn: bool = True,
) -> Tensor:
    """The scores of all images at once, float32 (N, C, H, W) in main memory; arguments, errors and warnings as for `attribute`."""
    stream = attribute(
        classifier,
        images,
        attribution,
        target=target,
        seed=seed,
        batch_size=batch_size,
        device=device,
        progress=progress,
        warn=warn,
    )
    scores = torch.empty(len(images), *images.shape)
    for which, part in stream:
        scores[which] = part.cpu()
    return scores


def _stream(work: Callable[[slice], Tensor], total: int, size: int, progress: Advance | None) -> Scores:
    for which, scores in halving(work, total, size):
        yield which, scores
        if progress is not None:
            progress(which.stop - which.start)


def _scores(ready: _Ready, which: slice) -> Tensor:
    found, images = ready.found, ready.images
    if found.scores is not None:
        return read_precomputed(found.scores, which, images).to(ready.place)
    batch = images.floats(which, ready.place)
    wanted = (one(which, batch).to(ready.place) for one in ready.targets)
    each = (checked(_run(found, ready.model, batch, one), found.name, batch, which.start) for one in wanted)
    scores = next(each)
    if len(ready.targets) == 1:
        return scores
    # Magnitudes, since what raises one class lowers another: signed scores would cancel.
    return sum((more.abs() for more in each), scores.abs())


def _run(found: Attribution, model: nn.Module | None, batch: Tensor, targets: Tensor) -> object:
    function: Any = found.function
    if model is None:
        return function(None, batch, targets)
    with evaluating(model), torch.inference_mode(False), torch.enable_grad():
        return function(model, batch.clone(), targets)


def _targets(target: str | Tensor, images: ImageSet, model: nn.Module | None, device: torch.device, seed: int) -> list[Targets]:
    """What is attributed of each image: one target, or every class in turn."""
    if not isinstance(target, Tensor):
        expected = f"{', '.join(map(_quoted, TARGETS))} or int64 (N,)"
        require(target in TARGETS, "target", target, expected)
    logits = None if model is None else _classes(model, images.floats(slice(0, 2), device))
    if isinstance(target, Tensor):
        check_targets("target", target, len(images), logits)
        given = target.cpu()
        return [lambda which, batch: given[which]]
    if model is not None and target == "predicted":
        return [lambda which, batch: _predicted(model, batch)]
    check_targets("labels", images.labels, len(images), logits)
    if logits is None or target == "label":
        return [lambda which, batch: images.labels[which]]
    classes = len(images.classes)
    expected = f"one that needs no more than the {logits} logits of the classifier; the images have {classes} classes"
    require(classes <= logits, "target", target, expected)
    if target == "random":
        # The keys themselves, not draws of the generators that they seed: an attribution may use those for its noise.
        return [lambda which, batch: torch.tensor([key % classes for key in image_keys(batch, seed)])]
    return [partial(_constant, one) for one in range(classes)]


def _constant(target: int, which: slice | list[int], batch: Tensor) -> Tensor:
    return torch.full((len(batch),), target)


def _predicted(model: nn.Module, batch: Tensor) -> Tensor:
    with evaluating(model), torch.no_grad():
        return check_logits(model(placed(model, batch)), batch).argmax(1)


def _quoted(word: str) -> str:
    return f'"{word}"'


def _classes(model: nn.Module, sample: Tensor) -> int:
    with evaluating(model), torch.no_grad():
        logits = check_logits(model(placed(model, sample)), sample)
    expected = "a module with finite logits: those of the first image are NaN or infinite; are its weights?"
    require(bool(torch.isfinite(logits).all()), "classifier", type(model).__name__, expected)
    return logits.shape[1]


def images_without_classifier(images: ImageSet) -> int:
    """How many images an attribution takes at once that asks no classifier."""
    return at_most(CPU_CAP, ARRAYS * 4 * images.images[0].numel())


def _size(model: nn.Module | None, images: ImageSet, device: torch.device) -> int:
    if model is None:
        return images_without_classifier(images)
    return batch_size_for(model, images.floats(slice(0, 2), device), device=device)


def _on_device(classifier: nn.Module | None, device: torch.device, name: str) -> nn.Module:
    if not isinstance(classifier, nn.Module):
        raise InputError("classifier", classifier, f"an nn.Module: the attribution {name} needs one")
    elsewhere = any(weight.device != device for weight in chain(classifier.parameters(), classifier.buffers()))
    return copy.deepcopy(classifier).to(device) if elsewhere else classifier
