"""`sweep`: families of classifiers along their strength, each trained once and measured by three instruments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gradaudit.classifiers import classifier_fingerprint
from gradaudit.devices import resolve_device
from gradaudit.diffusion import Denoiser
from gradaudit.files import fingerprint
from gradaudit.images import ImageSet, shared_images
from gradaudit.instruments.sweep.arguments import check_base, read_calls, rehearse, resolve_tangents
from gradaudit.instruments.sweep.families import BASE, Family, members, read_families
from gradaudit.instruments.sweep.measure import SweepInputs, arrays
from gradaudit.instruments.sweep.measured_classifier import read
from gradaudit.instruments.sweep.options import SweepOptions
from gradaudit.instruments.sweep.result import RATIO, SweepResult, tabulate
from gradaudit.instruments.sweep.schedule import PlannedClassifier, run_planned
from gradaudit.instruments.sweep.verdict import judge
from gradaudit.options import takes
from gradaudit.results import versions
from gradaudit.training import Recipe
from gradaudit.training.backends import resolve_backend
from gradaudit.training.learners import check_alike
from gradaudit.training.store import as_store
from gradaudit.training.workers import resolve_workers


@takes(SweepOptions)
def sweep(train: ImageSet, test: ImageSet, denoiser: Denoiser, tangent_spaces: Tensor | Any, options: SweepOptions) -> SweepResult:
    """Accuracy, alignment, and robustness on and off the data manifold along each family's strength, with the regimes.

    The unregularised classifier and one for each family and strength are trained and measured; each is kept in the store as soon as
    it is done, so a sweep that is stopped continues at the same call; `workers` are classifiers at once. Srinivas et al. (2023),
    Which Models have Perceptually-Aligned Gradients?, section 5.

    Args:
        train: images that the classifiers are trained on.
        test: images that they are measured at, two or more, of the same shape and classes.
        denoiser: of such images; `load_denoiser` gives one.
        tangent_spaces: at the test images: orthonormal bases, floats (N, T, F); a function from images, floats (N, C, H, W), to
            such; or what `ga.tangent_spaces` makes them of: an autoencoder, a denoiser, an image set of neighbours. They are made
            once, when all else has been checked.
        {options}

    Returns:
        A result with `table`, `regimes`, `peaks()`, `correlation()`, `verdict` (`confirmed`, `not confirmed` or `mixed`),
        `plot()`, `map()` and `save(folder)`.

    Raises:
        InputError: a bad argument, before any training.
        MissingExtraError: a similarity's package is not installed.
        TrainingError: a loss is no longer finite; what was finished before is kept.
        StoreError: the store can't be written.
    """
    check_alike(train, test)
    base = BASE if options.base is None else options.base
    network = check_base(base, train)
    chosen = read_families(options.families, options.norm)
    calls = read_calls(test, denoiser, options)
    place, kept = resolve_device(options.device), as_store(options.store)
    backend = resolve_backend(options.backend, kept, place)
    count = resolve_workers(options.workers, backend)
    bases = resolve_tangents(tangent_spaces, test, options.seed, place, options.show_progress)
    rehearse(calls, base, test, denoiser, bases, place)
    common = calls.settings | {
        "seed": options.seed,
        "network": network,
        "denoiser": classifier_fingerprint(denoiser),
        "tangent_spaces": fingerprint(bases),
        "train_fingerprint": train.fingerprint,
        "test_fingerprint": test.fingerprint,
        "device": place.type,
    }
    planned = _planned(base, chosen, common)
    inputs = SweepInputs(arrays(train), arrays(test), bases.numpy(), denoiser, *calls[:3], options.seed, kept, str(place))
    outcomes = run_planned(planned, inputs, backend=backend, workers=count, show_progress=options.show_progress)
    details = {"classifiers": [_about(one) | outcome for one, outcome in zip(planned, outcomes, strict=True)]}
    settings = _settings(base, chosen, common, test) | {"shared_images": shared_images(train, test)}
    table = tabulate(details, settings)
    ratios = table[(table["measure"] == RATIO) & table["parameter"].isna()]["value"]
    return SweepResult(table, judge(read(details), list(ratios), settings), settings, details)


def _planned(base: Recipe, families: tuple[Family, ...], common: Mapping[str, Any]) -> list[PlannedClassifier]:
    keys = {"what": "regimes", **common, "versions": versions()}
    device = torch.device(common["device"])
    described = ((*one, {**keys, "recipe": one[2].key(device)}) for one in members(base, families))
    return [PlannedClassifier(*one) for one in described]


def _about(one: PlannedClassifier) -> dict[str, Any]:
    return {"family": one.family, "strength": one.strength, "objective": one.recipe.objective}


def _settings(base: Recipe, families: tuple[Family, ...], common: Mapping[str, Any], test: ImageSet) -> dict[str, Any]:
    radii = common["radius"]
    return {
        "families": {family.name: list(family.strengths) for family in families},
        "base": base.model_dump(),
        "reference_radius": radii[(len(radii) - 1) // 2],
        **common,
        "classes": list(test.classes),
        "shape": list(test.shape),
        "images": len(test),
    }
