"""`robustness`: attack, certify, count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from gradaudit.batching import batch_size_for, frozen
from gradaudit.classifiers import check_classifier, classifier_fingerprint
from gradaudit.devices import resolve_device
from gradaudit.errors import require
from gradaudit.images import ImageSet
from gradaudit.instruments.robustness.attack_checks import checks
from gradaudit.instruments.robustness.methods import SHARED, Method, check_reaches, rehearse, resolve_methods
from gradaudit.instruments.robustness.options import RobustnessOptions
from gradaudit.instruments.robustness.outcomes import Outcomes
from gradaudit.instruments.robustness.result import RobustnessResult, tabulate
from gradaudit.instruments.robustness.verdict import judge
from gradaudit.options import takes
from gradaudit.training.store import as_store, packed


@takes(RobustnessOptions)
def robustness(classifier: nn.Module, images: ImageSet, options: RobustnessOptions) -> RobustnessResult:
    """The accuracy that a classifier keeps within each radius, by attacks, by certificates and on average, with intervals.

    An image counts as right under an attack if it is given its label both unperturbed and at the point that the attack found, so at
    eps 0 the accuracy is the clean one. What an attack finds bounds the true robust accuracy from above; what `smoothing` certifies
    bounds that of the smoothed classifier from below. The draws of `pgd`, `smoothing` and `gaussian` belong to an image and not to
    its batch. A run that is stopped continues where it was at the same call.

    Args:
        classifier: what is audited: images in [0, 1] to logits (N, K), its normalisation inside it. It is moved to `device`.
        images: images with their labels.
        {options}

    Returns:
        A result with `table`, `verdict` (`robust`, `brittle`, `inconclusive` or `unreliable`), `plot()` and `save(folder)`.

    Raises:
        InputError: a bad argument, before anything long begins; or a user's attack that leaves the ball or the box.
        MissingExtraError: an attack's package is not installed.
        StoreError: the store can't be written; what was finished before is kept, and the same call continues.
    """
    require(isinstance(images, ImageSet), "images", type(images).__name__, "an ImageSet; load_images makes one")
    radii = options.eps
    shared = {name: getattr(options, name) for name in SHARED}
    methods = resolve_methods(options.attack, **shared)
    check_reaches(methods, radii[-1], images.shape)
    place = resolve_device(options.device)
    checked = check_classifier(classifier, images)
    classifier, caveats = checked
    outcomes = Outcomes(
        classifier.to(place),
        classifier_fingerprint(classifier),
        images,
        options.norm,
        options.eot,
        options.seed,
        batch_size_for(classifier, images.floats([0]), device=place) if options.batch_size == "auto" else options.batch_size,
        place,
        as_store(options.store),
        options.show_progress,
    )
    settings = {
        "attacks": list(methods),
        "eps": list(radii),
        **shared,
        "eot": options.eot,
        "device": place.type,
        **_about(outcomes),
    }
    with frozen(classifier):
        for method in methods.values():
            rehearse(method, classifier, *outcomes.batch(np.arange(1)), radii[-1])
        details = _details(outcomes, methods, radii, checked.randomised)
    table = tabulate(details, settings, {name: method.norm for name, method in methods.items()})
    return RobustnessResult(table, judge(table, details, settings).with_caveats(caveats), settings, details)


def _details(outcomes: Outcomes, methods: Mapping[str, Method], radii: Sequence[float], randomised: bool) -> dict[str, Any]:
    """What became of every image, and what the checks found."""
    clean = outcomes.clean()
    kept = _kept(outcomes, methods, radii, clean)
    worst = {eps: np.logical_and.reduce([*kept[eps].values()]) for eps in radii if eps > 0 and kept[eps]}
    found = {name: method for name, method in methods.items() if not method.is_attack}
    shares = {
        name: [outcomes.measured(one, eps)["share"] for eps in radii] for name, one in found.items() if one.numbers == "share"
    }
    certificates = {name: outcomes.measured(one, None) for name, one in found.items() if one.numbers == "radius"}
    return {
        "labels": outcomes.images.labels.tolist(),
        "clean": packed(clean),
        "correct": {name: [packed(kept[eps][name]) for eps in radii] for name, one in methods.items() if one.is_attack},
        "shares": shares,
        "certificates": certificates,
        "checks": checks(outcomes, methods, worst, clean, randomised=randomised),
    }


def _kept(
    outcomes: Outcomes, methods: Mapping[str, Method], radii: Sequence[float], clean: np.ndarray
) -> dict[float, dict[str, np.ndarray]]:
    """For each radius and attack, boolean (N,): which images keep their label."""
    attacks = sorted((one for one in methods.values() if one.is_attack), key=lambda one: one.after_others)
    kept: dict[float, dict[str, np.ndarray]] = {}
    for eps in radii:
        kept[eps] = {}
        for method in attacks:
            start = np.logical_and.reduce([clean, *kept[eps].values()]) if method.after_others else clean
            kept[eps][method.name] = outcomes.withstood(method, eps, start) if eps > 0 else clean
    return kept


def _about(outcomes: Outcomes) -> dict[str, Any]:
    images = outcomes.images
    return {
        "classifier": outcomes.owner,
        **images.settings,
    }
