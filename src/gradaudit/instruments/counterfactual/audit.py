"""`counterfactual`: find, keep, measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from gradaudit.batching import batch_size_for, frozen, placed
from gradaudit.classifiers import classifier_fingerprint
from gradaudit.devices import resolve_device
from gradaudit.diffusion import Denoiser
from gradaudit.images import ImageSet
from gradaudit.instruments.counterfactual.arguments import (
    Method,
    Targets,
    agreeing,
    check_against,
    check_classifiers,
    check_denoiser,
    check_reference,
    check_repulsion,
    check_subjects,
    probabilities_of,
    resolve_methods,
    resolve_targets,
)
from gradaudit.instruments.counterfactual.measuring import MeasureInputs, Measurements, measured, with_features
from gradaudit.instruments.counterfactual.options import CounterfactualOptions
from gradaudit.instruments.counterfactual.problem import Against
from gradaudit.instruments.counterfactual.region import named_region, resolve_region
from gradaudit.instruments.counterfactual.result import CounterfactualResult
from gradaudit.instruments.counterfactual.search import Counterfactual, Search, Wanted
from gradaudit.instruments.counterfactual.verdict import judge
from gradaudit.noise import image_keys
from gradaudit.options import takes
from gradaudit.packing import pack
from gradaudit.training.store import as_store

CPU_CAP = 16  # images at once: more is no faster, and what a stopped run has lost is a batch
CUDA_CAP = 64
VIEWS = 16  # of each image, which a guided step shows the classifiers at once


@takes(CounterfactualOptions)
def counterfactual(
    classifier: nn.Module,
    images: ImageSet,
    targets: Targets,
    denoiser: Denoiser | None = None,
    *,
    robust: nn.Module | None = None,
    oracles: Mapping[str, nn.Module] | None = None,
    against: nn.Module | None = None,
    reference: ImageSet | None = None,
    options: CounterfactualOptions,
) -> CounterfactualResult:
    """Images changed until the classifier sees another class, how they differ, and whether others see that class too.

    Every finished counterfactual goes into the store, in 256 levels as the originals are: a run that is stopped continues where it
    was at the same call. An image whose gradients become NaN fails alone, with the reason in the table. Random draws belong to the
    image, whatever its batch or place.

    Augustin, Boreiko, Croce and Hein (2022), Diffusion Visual Counterfactual Explanations; the oracles are how Jeanneret, Simon and
    Jurie (2023), Adversarial Counterfactual Visual Explanations, tell a change of meaning from a change of the classifier's mind.

    Args:
        classifier: what is explained: images in [0, 1] to logits (N, K), its normalisation inside it. It is moved to `device`, as
            are all others.
        images: those that are to change; their labels don't matter. A signal mask tells how much of the change lies outside it.
        targets: the class wanted: `"second"` (the second most likely), `"all"` (each other class in turn), one class by its index
            or name, or one for each image, int64 (N,) or a list.
        denoiser: of such images; `load_denoiser` gives one. None for methods that do without.
        robust: a classifier of the same classes whose gradients are trusted to lie along the data, and with which the explained
            one's are brought into a cone.
        oracles: other classifiers of the same classes, by name, that are asked whether they see the target too.
        against: another classifier of the same classes, which is to keep the class that it gives each image, whatever the label,
            while the explained one comes to see the target: methods ascend log p(target) + log p(that class), the one's and the
            other's, and an image is flipped where both hold. Images about which the two disagree already are not changed and have
            no row; `details["against"]["already"]` has their numbers and classes.
        reference: real images of the same shape and classes, with which realism compares; `images` themselves unless given.
        {options}

    Returns:
        A result with `table`, `summary`, `verdict` (`semantic`, `not semantic` or `inconclusive`), `images`, `originals`,
        `targets`, `steps`, `frames`, `plot()`, `gallery()`, `animation(path)` and `save(folder)`.

    Raises:
        InputError: a bad argument, before anything long begins; or a function of the user's that returns what it must not.
        MissingExtraError: a method's package is not installed.
        StoreError: the store can't be written; what was finished before is kept, and the same call continues.
    """
    check_subjects(images, denoiser)
    oracles = {} if oracles is None else oracles
    real = images if reference is None else reference
    check_reference(real, images)
    methods, seed = resolve_methods(options.method), options.seed
    check_denoiser(methods, denoiser)
    check_repulsion(options.repulsion, options.seeds, methods)
    place = resolve_device(options.device)
    classifier, robust, oracles, caveats = check_classifiers(classifier, robust, oracles, images)
    against, more = check_against(against, classifier, robust, images, methods)
    helpers = [one.to(place) for one in (denoiser, robust, against) if one is not None]
    with ExitStack() as constant:
        for module in (classifier.to(place), *helpers, *(oracle.to(place) for oracle in oracles.values())):
            constant.enter_context(frozen(module))
        size = batch_size_of(options.batch_size, classifier, denoiser, images, place, against)
        owners = {"classifier": classifier, "robust": robust, "denoiser": denoiser} | ({"against": against} if against else {})
        marks = {name: None if one is None else classifier_fingerprint(one) for name, one in owners.items()}
        kept = as_store(options.store)
        region = resolve_region(options.region, classifier, images, seed, place)
        rival = None if against is None else Against(against, probabilities_of(against, images, place, "against").argmax(dim=1))
        search = Search(classifier, images, denoiser, robust, marks, size, place, kept, options.show_progress, region, rival)
        search = replace(search, repulsion=options.repulsion)
        before = probabilities_of(classifier, images, place)
        which, chosen = resolve_targets(targets, before, images, denoiser)
        if rival is not None:
            which, chosen = agreeing(which, chosen, before, rival)
        wanted = _wanted(images, which, chosen, seed, options.seeds)
        search.rehearse([*methods.values()])
        found = search.find([*methods.values()], wanted)
        inputs = MeasureInputs(before, oracles, with_features(oracles, images.floats([0], place)), real, seed)
        parts = {name: measured(search, name, wanted, ones, inputs) for name, ones in found.items()}
        details = _details(search, wanted, found, inputs, parts)
    table = pd.concat([_table(search, name, wanted, found[name], before, parts[name].table) for name in found], ignore_index=True)
    settings = _settings(search, methods, inputs, targets, options.seeds) | {"region": named_region(options.region)}
    settings |= {"repulsion": options.repulsion}
    return CounterfactualResult(table, judge(table, details, settings).with_caveats(caveats + more), settings, details)


def _wanted(images: ImageSet, which: Tensor, chosen: Tensor, seed: int, seeds: int) -> list[Wanted]:
    """All that is wanted of a method: image by image, target by target, seed by seed."""
    keys = [[image_keys(images.floats([place]), seed + turn)[0] for place in range(len(images))] for turn in range(seeds)]
    pairs = zip(which.tolist(), chosen.tolist(), strict=True)
    return [Wanted(image, target, seed + turn, keys[turn][image]) for image, target in pairs for turn in range(seeds)]


def batch_size_of(
    given: int | str,
    classifier: nn.Module,
    denoiser: Denoiser | None,
    images: ImageSet,
    place: torch.device,
    against: nn.Module | None = None,
) -> int:
    """Images that a method changes at once: those given, or for `"auto"` as many as fit."""
    if not isinstance(given, str):
        return given
    sample = images.floats([0], place)
    asked = [classifier, *([against] if against is not None else [])]
    fits = min(batch_size_for(one, sample, device=place, factor=2.0 * VIEWS) for one in asked)
    if denoiser is not None:
        fits = min(fits, batch_size_for(_Denoising(denoiser), sample, device=place))
    return min(fits, CPU_CAP if place.type == "cpu" else CUDA_CAP)


class _Denoising(nn.Module):
    """A denoiser as a module of images alone, whose memory can be measured."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(self, images: Tensor) -> Tensor:
        denoised: Tensor = self.denoiser(images, 0.5)
        return denoised


def _table(
    search: Search, method: str, wanted: Sequence[Wanted], found: Sequence[Counterfactual], before: Tensor, measures: pd.DataFrame
) -> pd.DataFrame:
    classes = search.images.classes
    present = before.argmax(dim=1)
    head = pd.DataFrame(
        {
            "method": method,
            "image": [one.image for one in wanted],
            "seed": [one.seed for one in wanted],
            "source": [class_name(classes, int(present[one.image])) for one in wanted],
            "target": [classes[one.target] for one in wanted],
            "confidence_before": [float(before[one.image, one.target]) for one in wanted],
            "confidence_after": measures["confidence_after"],
            "flipped": measures["flipped"].fillna(0).astype(bool),
            "failed": [one.failed for one in found],
        }
    )
    if "other" in measures:
        seen = ["" if index != index else class_name(classes, int(index)) for index in measures["other"]]
        head.insert([*head.columns].index("failed"), "other", seen)
    return head.join(measures.drop(columns=[name for name in measures.columns if name in head.columns]))


def class_name(classes: Sequence[str], index: int) -> str:
    """The class's name, or its number where the classifier has more classes than the images."""
    return classes[index] if index < len(classes) else str(index)


def _details(
    search: Search,
    wanted: Sequence[Wanted],
    found: Mapping[str, Sequence[Counterfactual]],
    inputs: MeasureInputs,
    parts: Mapping[str, Measurements],
) -> dict[str, Any]:
    every = [one for ones in found.values() for one in ones]
    return {
        "labels": search.images.labels.tolist(),
        "targets": [one.target for one in wanted] * len(found),
        "images": pack(np.stack([one.image for one in every])),
        "originals": pack(search.images.images.numpy()),
        "frames": {str(row): pack(one.frames) for row, one in enumerate(every) if one.frames is not None},
        "steps": {method: _steps(ones) for method, ones in found.items()},
        "seconds": [one.seconds for one in every],
        "sets": [line.to_json() for part in parts.values() for line in part.sets],
        "skipped": {name: reason for part in parts.values() for name, reason in part.skipped.items()},
        "oracles": {name: _oracle(search, wanted, inputs.before, one) for name, one in inputs.oracles.items()},
        **({} if search.against is None else {"against": {"already": _already(search, inputs.before.argmax(dim=1))}}),
    }


def _already(search: Search, present: Tensor) -> list[dict[str, Any]]:
    """The images about which the two disagree as they are: number, and the class that each sees."""
    assert search.against is not None
    classes, seen = search.images.classes, zip(present.tolist(), search.against.classes.tolist(), strict=True)
    return [
        {"image": image, "classifier": class_name(classes, one), "other": class_name(classes, other)}
        for image, (one, other) in enumerate(seen)
        if one != other
    ]


def _steps(found: Sequence[Counterfactual]) -> dict[str, Any]:
    """Each diagnostic (n, S), packed; NaN beyond the steps that an image has."""
    packed = {}
    for name in dict.fromkeys(name for one in found for name in one.steps):
        values = [one.steps.get(name, np.empty(0, np.float32)) for one in found]
        whole = np.full((len(found), max(map(len, values))), np.nan, np.float32)
        for row, one in zip(whole, values, strict=True):
            row[: len(one)] = one
        packed[name] = pack(whole)
    return packed


def _oracle(search: Search, wanted: Sequence[Wanted], before: Tensor, oracle: nn.Module) -> dict[str, Any]:
    """How far an oracle can be relied on: what it makes of the originals, and whether it took part."""
    seen = []
    with torch.no_grad():
        for start in range(0, len(search.images), search.batch_size):
            pixels = search.images.floats(slice(start, start + search.batch_size), search.device)
            seen.append(oracle(placed(oracle, pixels)).argmax(dim=1).cpu())
    classes = torch.cat(seen)
    already = [int(classes[one.image]) == one.target for one in wanted]
    fingerprint = classifier_fingerprint(oracle)
    return {
        "agrees": float((classes == before.argmax(dim=1)).double().mean()),
        "already": float(np.mean(already)),
        "helper": fingerprint == search.owners["robust"],
        **({} if search.against is None else {"against": fingerprint == search.owners["against"]}),
        "fingerprint": fingerprint,
    }


def _settings(search: Search, methods: Mapping[str, Method], inputs: MeasureInputs, targets: Targets, seeds: int) -> dict[str, Any]:
    images, denoiser = search.images, search.denoiser
    return {
        "methods": list(methods),
        "targets": targets if isinstance(targets, (str, int)) else "one for each image",
        "seed": inputs.seed,
        "seeds": seeds,
        "device": search.device.type,
        "classifier": search.owners["classifier"],
        "robust": search.owners["robust"],
        **({} if search.against is None else {"against": search.owners["against"]}),
        "denoiser": None if denoiser is None else {"fingerprint": search.owners["denoiser"], **denoiser.description},
        "oracles": list(inputs.oracles),
        **images.settings,
        "reference_fingerprint": inputs.reference.fingerprint,
    }
