"""`fidelity`: rank, keep the top and the bottom, fill the rest, ask the classifier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.attributions import (
    Attribution,
    Features,
    controls_beside,
    kept,
    kept_count,
    named_attributions,
    opened,
    rank,
    rank_dtype,
)
from gradaudit.batching import evaluating, forward_size
from gradaudit.classifiers import check_classifier, classifier_fingerprint
from gradaudit.devices import resolve_device
from gradaudit.errors import InputError, require
from gradaudit.fills import Fill, check_fill
from gradaudit.images import ImageSet
from gradaudit.instruments.fidelity.asking import Answers, Subject
from gradaudit.instruments.fidelity.finetuning import FineTuning, fine_tuned, read_recipe
from gradaudit.instruments.fidelity.options import FidelityOptions
from gradaudit.instruments.fidelity.patches import grid, patch_sums, rank_correlations
from gradaudit.instruments.fidelity.result import SIDES, FidelityResult, tabulate
from gradaudit.instruments.fidelity.verdict import judge
from gradaudit.options import takes
from gradaudit.packing import pack
from gradaudit.progress import progress
from gradaudit.training.store import as_store

FORWARD = 64  # images at once on a CPU, where the way forward alone is fastest at some 64 small ones
VALUES = 2**19  # of these images: of larger ones fewer are faster, at 224 x 224 twice as fast as 64

Stream = Iterator[tuple[slice, Tensor]]


@takes(FidelityOptions, "attribution")
def fidelity(classifier: nn.Module, images: ImageSet, options: FidelityOptions) -> FidelityResult:
    """Whether a classifier uses the pixels that its attribution ranks first: it is asked again when others are removed.

    Images keep the top-ranked share of their features, or the bottom-ranked share, and the rest is filled. Fidelity is the
    classifier's accuracy on the first less that on the second. Beside it, the areas under deletion and insertion (Petsiuk, Das and
    Saenko, 2018), both orders of removal (Rong et al., 2022, ROAD) and the deletion of single patches (Hesse, Schaub-Meyer and
    Roth, 2024). Features are ranked by magnitude; single patches are compared by the signed sums of the scores.

    Args:
        classifier: what is audited: images in [0, 1] to logits (N, K), its normalisation inside it. It is moved to `device`.
        images: images with their labels.
        {options}

    Returns:
        A result with `table`, `orders`, `order_agreement`, `single_patches`, `verdict` (`used`, `not used`, `upside down` or
        `inconclusive`), `per_image(attribution)`, `plot()` and `save(folder)`.

    Raises:
        InputError: a bad argument, before anything long begins; images of a single pixel.
        TrainingError, StoreError: a copy can't be fine-tuned, or kept.
    """
    _check(images, options)
    audited = named_attributions(options.attribution, options.seed)
    beside, left_out = controls_beside(options.controls, audited, options.seed)
    place = torch.empty(0, device=resolve_device(options.device)).device
    fills = resolve_fills(options.fill, options.reference or images, options.seed, place)
    classifier, caveats = check_classifier(classifier, images)
    classifier = classifier.to(place)
    trainings = fine_tunings(classifier, images, fills, options, place)
    how: dict[str, Any] = {name: getattr(options, name) for name in ("target", "seed", "batch_size")} | {"device": place}
    streams, impossible, doubts = opened(classifier, images, audited, beside, **how)
    settings = _settings(classifier, images, audited, [name for name in beside if name in streams], fills) | {
        "left_out": left_out | impossible,
        "finetuned": _about_copies(trainings),
        "levels": list(options.levels),
        "features": options.features,
        "target": options.target,
        "patches": options.patches,
        "seed": options.seed,
        "device": place.type,
    }
    copies = {
        name: fine_tuned(one, as_store(options.store), f"fine-tuning a copy, {name}", options.show_progress)
        for name, one in trainings.items()
    }
    with evaluating(classifier):
        details = _details(_subject(classifier, images, options, place), copies, fills, streams, options)
    table = tabulate(details, settings)
    return FidelityResult(table, judge(table, details, settings).with_caveats((*caveats, *doubts)), settings, details)


def fine_tunings(
    classifier: nn.Module, images: ImageSet, fills: Mapping[str, Fill], options: FidelityOptions, place: torch.device
) -> dict[str, FineTuning]:
    """What makes the fine-tuned copy for each fill; nothing where none is asked for.

    Raises:
        InputError: there are no training images, or others; the recipe is none; or the classifier has nothing to train.
    """
    if options.finetuned is None:
        return {}
    recipe, train = read_recipe(options.finetuned, options.seed), options.reference
    if train is None:
        raise InputError("reference", train, "the training images, on which to fine-tune a copy, where `finetuned` is given")
    require(train.classes == images.classes, "reference", train.classes, f"of the images' classes, {images.classes}")
    weights = any(weight.is_floating_point() for weight in classifier.parameters())
    require(weights, "classifier", type(classifier).__name__, "one with weights that can be fine-tuned, where `finetuned` is given")
    removed = 1 - min(options.levels)
    return {name: FineTuning(classifier, train, fill, options.features, removed, recipe, place) for name, fill in fills.items()}


def resolve_fills(fill: Any, reference: ImageSet, seed: int, device: torch.device) -> dict[str, Fill]:
    """The fills by name, each tried on two images.

    Raises:
        InputError: there is none, one is no fill, or two have one name.
    """
    named: dict[str, Fill] = {}
    for one in fill if isinstance(fill, (list, tuple)) else [fill]:
        found = check_fill(one, reference, seed, device)
        require(found.name not in named, "fill", found.name, "fills of different names")
        named[found.name] = found
    require(len(named) > 0, "fill", fill, "at least one fill")
    return named


def cell_count(fills: int, attributions: int, options: FidelityOptions, shape: tuple[int, int, int]) -> int:
    """How many times each image is shown to the classifier with a part of it removed, for so many fills and rankings."""
    patches = len(grid(options.patches, shape)) if options.patches else 0
    return fills * (attributions * len(options.levels) * len(SIDES) + 1 + patches)


def _check(images: Any, options: FidelityOptions) -> None:
    require(isinstance(images, ImageSet), "images", type(images).__name__, "an ImageSet; load_images makes one")
    require(images.shape[1] * images.shape[2] > 1, "images", images, "images of at least two pixels")
    reference = options.reference
    given = reference is None or (isinstance(reference, ImageSet) and reference.shape == images.shape)
    require(given, "reference", reference, f"an ImageSet of images {images.shape}, or None")
    require(options.patches != 1, "patches", options.patches, "0 for none, or 2 or more: a single patch has no order")


def _about_copies(trainings: Mapping[str, FineTuning]) -> dict[str, Any] | None:
    """What a result says of how the copies were made; None where the classifier itself was asked."""
    for one in trainings.values():
        return {
            "recipe": one.recipe.model_dump(),
            "removed": one.removed,
            "train_images": len(one.images),
            "train_fingerprint": one.images.fingerprint,
        }
    return None


def at_once(images: ImageSet) -> int:
    """How many images the classifier is given at once on a CPU, where their memory allows it."""
    return min(FORWARD, max(1, VALUES // images.images[0].numel()))


def _subject(classifier: nn.Module, images: ImageSet, options: FidelityOptions, place: torch.device) -> Subject:
    size = options.batch_size
    if size == "auto":
        size = forward_size(classifier, images.floats([0]), device=place, most=at_once(images))
    asked = Subject(classifier, images, images.labels, options.seed, size, place)
    if options.target == "label":
        return asked
    return Subject(classifier, images, torch.from_numpy(asked.as_they_are().given), options.seed, size, place)


def _details(
    subject: Subject,
    copies: Mapping[str, nn.Module],
    fills: Mapping[str, Fill],
    streams: Mapping[str, Stream],
    options: FidelityOptions,
) -> dict[str, Any]:
    """What the classifier answered, image by image, packed; or for each fill its copy, where there is one."""
    images, targets = subject.images, subject.targets.numpy()
    patches = grid(options.patches, images.shape) if options.patches else None
    total = len(images) * (1 + len(copies) + cell_count(len(fills), len(streams), options, images.shape))
    read: dict[str, dict[str, Any]] = {name: {} for name in fills}
    patched: dict[str, dict[str, Any]] = {name: {} for name in fills}
    with progress("asking the classifier", total, options.show_progress) as advance:
        subject = replace(subject, advance=advance)
        clean = subject.as_they_are()
        asked = {name: replace(subject, classifier=copies[name]) if copies else subject for name in fills}
        whole = {name: asked[name].as_they_are() if copies else clean for name in fills}
        nothing = {name: _with_nothing(asked[name], fill) for name, fill in fills.items()}
        drops = {name: _drops(asked[name], fill, patches, whole[name]) for name, fill in fills.items()}
        for name, stream in streams.items():
            ranks, sums = _ranked(stream, images, options, patches)
            for fill, made in fills.items():
                read[fill][name] = _read(asked[fill], made, ranks, options)
                if patches is not None:
                    patched[fill][name] = pack(rank_correlations(sums, drops[fill]))
    return {
        "targets": pack(targets),
        "chance": int(np.bincount(targets).max()) / len(targets),
        "clean": _packed(clean.given == targets, clean.log),
        "copies": {name: _packed(whole[name].given == targets, whole[name].log) for name in copies},
        "nothing": {name: _about_nothing(one, targets) for name, one in nothing.items()},
        "read": read,
        "patches": {} if patches is None else patched,
    }


def _with_nothing(subject: Subject, fill: Fill) -> Answers:
    """The answers where everything is removed."""
    _, height, width = subject.images.shape
    return subject.filled(fill, partial(_like, mask=torch.zeros(height, width, dtype=torch.bool), device=subject.device))


def _about_nothing(answers: Answers, targets: np.ndarray) -> dict[str, Any]:
    counts = np.bincount(answers.given)
    return {
        "accuracy": float((answers.given == targets).mean()),
        "log": float(answers.log.mean()),
        "class": int(counts.argmax()),
        "share": float(counts.max() / len(targets)),
        "confidence": float(answers.confidence.mean()),
    }


def _drops(subject: Subject, fill: Fill, patches: Tensor | None, clean: Answers) -> np.ndarray:
    """How much the target's logit drops without each patch, floats (N, P)."""
    if patches is None:
        return np.empty((len(subject.images), 0))
    masks = (partial(_like, mask=~patch, device=subject.device) for patch in patches)
    return np.stack([clean.logit - subject.filled(fill, mask).logit for mask in masks], axis=1)


def _like(which: slice, mask: Tensor, device: torch.device) -> Tensor:
    """The same mask (H, W) for each image of a part: (n, 1, H, W)."""
    return mask.to(device).expand(which.stop - which.start, 1, -1, -1)


def _ranked(stream: Stream, images: ImageSet, options: FidelityOptions, patches: Tensor | None) -> tuple[np.ndarray, np.ndarray]:
    """The centred ranks (N, F) of all images by their scores, and the sums of the scores over each patch, (N, P)."""
    channels, height, width = images.shape
    count = height * width * (channels if options.features == "coordinates" else 1)
    ranks = np.empty((len(images), count), rank_dtype(count))
    sums = np.empty((len(images), 0 if patches is None else len(patches)))
    for which, scores in stream:
        ranks[which] = rank(scores.cpu(), which.start, options.seed, options.features)
        if patches is not None:
            sums[which] = patch_sums(scores, patches)
    return ranks, sums


def _read(subject: Subject, fill: Fill, ranks: np.ndarray, options: FidelityOptions) -> dict[str, Any]:
    """Whether the classifier gives the target, and its log probability: (levels, sides, N) each."""
    keeps = [kept_count(level, ranks.shape[1]) for level in options.levels]
    shown = partial(_kept, ranks, shape=subject.images.shape, features=options.features, device=subject.device)
    found = [[subject.filled(fill, partial(shown, keep, side)) for side in SIDES] for keep in keeps]
    right = np.array([[one.given == subject.targets.numpy() for one in sides] for sides in found])
    return _packed(right, np.array([[one.log for one in sides] for sides in found]))


def _kept(
    ranks: np.ndarray,
    keep: int,
    side: str,
    which: slice,
    *,
    shape: tuple[int, int, int],
    features: Features,
    device: torch.device,
) -> Tensor:
    chosen = kept(torch.from_numpy(ranks[which]).to(device), keep, side)
    return chosen.view(len(chosen), shape[0] if features == "coordinates" else 1, *shape[1:])


def _packed(right: np.ndarray, log: np.ndarray) -> dict[str, Any]:
    return {"right": pack(right), "log": pack(log.astype(np.float32))}


def _settings(
    classifier: nn.Module,
    images: ImageSet,
    audited: Mapping[str, Attribution],
    beside: Sequence[str],
    fills: Mapping[str, Fill],
) -> dict[str, Any]:
    return {
        "attributions": list(audited),
        "controls": list(beside),
        "fills": list(fills),
        "fill_keys": [fill.key for fill in fills.values()],
        "classifier": classifier_fingerprint(classifier),
        **images.settings,
    }
