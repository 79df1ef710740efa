"""`robustness`: attack, certify, count."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from gradaudit.batching import frozen
from gradaudit.classifiers import check_classifier, classifier_fingerprint
from gradaudit.classifiers.check import RANDOMISED
from gradaudit.devices import resolve_device
from gradaudit.images import ImageSet
from gradaudit.instruments.robustness.arguments import check_images, check_radii, check_settings, resolve_batch_size
from gradaudit.instruments.robustness.methods import AttackLike, Method, check_reaches, rehearse, resolve_methods
from gradaudit.instruments.robustness.outcomes import Bench
from gradaudit.instruments.robustness.result import RobustnessResult, tabulate
from gradaudit.instruments.robustness.trust import checks
from gradaudit.instruments.robustness.verdict import judge
from gradaudit.training.perturbations import Norm
from gradaudit.training.store import Store, as_store, packed


def robustness(
    classifier: nn.Module,
    images: ImageSet,
    *,
    norm: Norm = "linf",
    eps: float | Sequence[float] = (0.0, 0.1, 0.3),
    attack: AttackLike | Sequence[AttackLike] = "pgd",
    steps: int = 20,
    step_size: float | None = None,
    restarts: int = 1,
    eot: int = 1,
    seed: int = 0,
    batch_size: int | Literal["auto"] = "auto",
    device: str | torch.device = "auto",
    store: Store | str | os.PathLike[str] | None = None,
    show_progress: bool = False,
) -> RobustnessResult:
    """The accuracy that a classifier keeps within each radius, by attacks, by certificates and on average, with intervals.

    An image counts as right under an attack if it is given its label both unperturbed and at the point that the attack found, so at
    eps 0 the accuracy is the clean one. What an attack finds bounds the true robust accuracy from above; what `smoothing` certifies
    bounds that of the smoothed classifier from below. A run that is stopped continues where it was at the same call.

    Args:
        classifier: what is audited: images in [0, 1] to logits (N, K), its normalisation inside it. It is moved to `device`.
        images: images with their labels.
        norm: `"linf"` or `"l2"`: what the attacks' radius is.
        eps: radii, in units of pixel values of [0, 1], ascending; they serve all attacks and measures.
        attack: one or a list of: `"pgd"`; `"autoattack"`, which is shown what the other attacks did not break; `"smoothing"`
            (randomized smoothing: the share certified to L2 `eps`); `"gaussian"` (the share of neighbours at noise of standard
            deviation `eps` that keep the class); any of these with options, as in `"smoothing(sigma=0.5)"`; a function
            `(classifier, images, labels, *, norm, eps) -> images`, given itself or as `"package.module:function"`.
        steps: gradient steps of the attacks that have them.
        step_size: length of a step; 2.5 * eps / steps unless given, which is eps / 8 for 20 steps.
        restarts: independent starts, of which the worst is kept for each image.
        eot: passes over which a randomised classifier's logits are averaged for the attacks' gradients.
        seed: every random draw comes from it; those of `pgd`, `smoothing` and `gaussian` belong to an image and not to its batch.
        batch_size: images at once; `"auto"` for as many as fit in memory. It does not change the result.
        device: `"auto"` or a torch device.
        store: a folder or a URL (`s3://bucket/folder`) for finished work, or a Store; the user's own unless given.
        show_progress: print the time left to standard error.

    Returns:
        A result with `table`, `verdict` (`robust`, `brittle`, `inconclusive` or `unreliable`), `plot()` and `save(folder)`.

    Raises:
        InputError: a bad argument, before anything long begins; or a user's attack that leaves the ball or the box.
        MissingExtraError: an attack's package is not installed.
        StoreError: the store can't be written; what was finished before is kept, and the same call continues.
    """
    check_images(images)
    radii = check_radii(eps)
    check_settings(norm, steps, step_size, {"restarts": restarts, "eot": eot}, seed)
    shared = {"norm": norm, "steps": steps, "step_size": step_size, "restarts": restarts, "seed": seed}
    methods = resolve_methods(attack, **shared)
    check_reaches(methods, radii[-1], images.shape)
    place = resolve_device(device)
    classifier, known = check_classifier(classifier, images)
    doubts = [doubt for doubt in known if RANDOMISED not in doubt]  # of that the verdict says more
    size = resolve_batch_size(batch_size, classifier, images, place)
    bench = Bench(
        classifier.to(place),
        classifier_fingerprint(classifier),
        images,
        norm,
        eot,
        seed,
        size,
        place,
        as_store(store),
        show_progress,
    )
    settings = {"attacks": list(methods), "eps": list(radii), **shared, "eot": eot, "device": place.type, **_about(bench)}
    with frozen(classifier):
        for method in methods.values():
            rehearse(method, classifier, *bench.batch(np.arange(1)), radii[-1])
        details = _details(bench, methods, radii)
    table = tabulate(details, settings, {name: method.norm for name, method in methods.items()})
    return RobustnessResult(table, judge(table, details, settings).with_caveats(doubts), settings, details)


def _details(bench: Bench, methods: Mapping[str, Method], radii: Sequence[float]) -> dict[str, Any]:
    """What became of every image, and what the checks found."""
    clean = bench.clean()
    kept = _kept(bench, methods, radii, clean)
    worst = {eps: np.logical_and.reduce([*kept[eps].values()]) for eps in radii if eps > 0 and kept[eps]}
    found = {name: method for name, method in methods.items() if not method.is_attack}
    shares = {name: [bench.measured(one, eps)["share"] for eps in radii] for name, one in found.items() if one.numbers == "share"}
    certificates = {name: bench.measured(one, None) for name, one in found.items() if one.numbers == "radius"}
    return {
        "labels": bench.images.labels.tolist(),
        "clean": packed(clean),
        "correct": {name: [packed(kept[eps][name]) for eps in radii] for name, one in methods.items() if one.is_attack},
        "shares": shares,
        "certificates": certificates,
        "checks": checks(bench, methods, worst, clean),
    }


def _kept(
    bench: Bench, methods: Mapping[str, Method], radii: Sequence[float], clean: np.ndarray
) -> dict[float, dict[str, np.ndarray]]:
    """For each radius and attack, boolean (N,): which images keep their label."""
    attacks = sorted((one for one in methods.values() if one.is_attack), key=lambda one: one.after_others)
    kept: dict[float, dict[str, np.ndarray]] = {}
    for eps in radii:
        kept[eps] = {}
        for method in attacks:
            start = np.logical_and.reduce([clean, *kept[eps].values()]) if method.after_others else clean
            kept[eps][method.name] = bench.withstood(method, eps, start) if eps > 0 else clean
    return kept


def _about(bench: Bench) -> dict[str, Any]:
    images = bench.images
    return {
        "classifier": bench.owner,
        "classes": list(images.classes),
        "shape": list(images.shape),
        "images": len(images),
        "images_fingerprint": images.fingerprint,
    }
