"""`counterfactual_differences`: what a counterfactual changes in each image, as scores that other instruments take."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.batching import batch_size_for, frozen
from gradaudit.classifiers import classifier_fingerprint
from gradaudit.devices import resolve_device
from gradaudit.diffusion import Denoiser
from gradaudit.errors import require
from gradaudit.files import fingerprint
from gradaudit.images import ImageSet
from gradaudit.instruments.counterfactual.arguments import (
    Method,
    Targets,
    check_classifiers,
    check_denoiser,
    check_subjects,
    probabilities_of,
    resolve_methods,
    resolve_targets,
)
from gradaudit.instruments.counterfactual.audit import CPU_CAP, CUDA_CAP, VIEWS
from gradaudit.instruments.counterfactual.options import DifferencesOptions
from gradaudit.instruments.counterfactual.problem import Problem, Solution
from gradaudit.instruments.counterfactual.region import resolve_region
from gradaudit.instruments.counterfactual.search import Search, Wanted, checked
from gradaudit.noise import image_keys
from gradaudit.options import takes
from gradaudit.training.store import as_store


@takes(DifferencesOptions)
def counterfactual_differences(
    classifier: nn.Module,
    images: ImageSet,
    targets: Targets = "second",
    denoiser: Denoiser | None = None,
    *,
    robust: nn.Module | None = None,
    options: DifferencesOptions,
) -> Tensor:
    """Counterfactual less image, float32 (N, C, H, W) in [-1, 1], on the CPU: scores for `diffroar` or `leakage`.

    Instruments rank by magnitude; the sign says whether a pixel became brighter. An image that has no counterfactual has 0
    everywhere. Every finished one goes into the store, without the way there, so that a run that is stopped continues.

    For DiffROAR, make those of the training and of the test images, and give it the pair. Where an image changes tells which
    classes it was changed between, so a mask may tell the label before any pixel does: read DiffROAR given the mask.

    Args:
        classifier: what is explained, as in `counterfactual`.
        images: those that are to change.
        targets: the class wanted, as in `counterfactual`, one for each image: `"second"`, a class, or a list; not `"all"`.
        denoiser: of such images; None for methods that do without.
        robust: a classifier of the same classes whose gradients are trusted to lie along the data, or None.
        {options}

    Raises:
        InputError: a bad argument, before anything long begins.
        StoreError: the store can't be written.
    """
    check_subjects(images, denoiser)
    way = _one_method(options.method)
    check_denoiser({way.name: way}, denoiser)
    classifier, robust, _, _ = check_classifiers(classifier, robust, {}, images)
    place = resolve_device(options.device)
    # What the method does not ask is no part of the counterfactuals' keys in the store.
    helpers: dict[str, Any] = {"denoiser": denoiser, "robust": robust} if asks_helpers(way) else {"denoiser": None, "robust": None}
    owners = {"classifier": classifier, **helpers}
    marks = {name: None if one is None else classifier_fingerprint(one) for name, one in owners.items()}
    with ExitStack() as constant:
        for module in owners.values():
            if module is not None:
                constant.enter_context(frozen(module.to(place)))
        size = options.batch_size
        size = _images_at_once(classifier, images, way, place) if isinstance(size, str) else size
        kept = as_store(options.store)
        region = resolve_region(options.region, classifier, images, options.seed, place)
        search = Search(
            classifier, images, helpers["denoiser"], helpers["robust"], marks, size, place, kept, options.show_progress, region
        )
        wanted = _wanted(images, targets, probabilities_of(classifier, images, place), helpers["denoiser"], options.seed)
        search.rehearse([way])
        found = search.find([way], wanted)[way.name]
    changed = torch.from_numpy(np.stack([one.image for one in found]))
    return changed.float().div_(255) - images.floats()


def asks_helpers(method: Method) -> bool:
    """Whether a method may ask the denoiser or the robust classifier; of one that says nothing of it nobody knows."""
    return method.asks_helpers


def _one_method(method: Any) -> Method:
    several = resolve_methods(method)
    require(len(several) == 1, "method", method, "a single method: an image has one map of differences")
    (found,) = several.values()

    def still(problem: Problem) -> Solution:
        one = checked(found.name, found.function(problem), problem)
        return Solution(one.images, failed=one.failed)  # the ways there of thousands of images would fill a disk

    return replace(found, function=still, fingerprint=fingerprint("still", found.fingerprint))


def _wanted(images: ImageSet, targets: Targets, before: Tensor, denoiser: Denoiser | None, seed: int) -> list[Wanted]:
    which, chosen = resolve_targets(targets, before, images, denoiser)
    single = which.tolist() == list(range(len(images)))
    require(single, "targets", targets, 'one for each image: "second", a class, or a list')
    keys = image_keys(images.floats(), seed)
    return [Wanted(image, int(target), seed, keys[image]) for image, target in zip(which.tolist(), chosen, strict=True)]


def _images_at_once(classifier: nn.Module, images: ImageSet, method: Method, device: torch.device) -> int:
    fits = batch_size_for(classifier, images.floats([0], device), device=device, factor=2.0 * VIEWS)
    return min(fits, CPU_CAP if device.type == "cpu" else CUDA_CAP) if asks_helpers(method) else fits
