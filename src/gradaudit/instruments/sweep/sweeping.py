"""`sweep`: families of classifiers along their strength, each trained once and measured by three instruments."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from gradaudit.classifiers import classifier_fingerprint
from gradaudit.devices import resolve_device, resolve_precision
from gradaudit.diffusion import Denoiser
from gradaudit.files import fingerprint
from gradaudit.images import ImageSet, shared_images
from gradaudit.instruments.alignment.methods import MethodLike
from gradaudit.instruments.sweep.arguments import Options, check_base, read_options, rehearse, resolve_tangents
from gradaudit.instruments.sweep.families import BASE, STRENGTHS, Family, read_families
from gradaudit.instruments.sweep.jobs import Job, run_jobs
from gradaudit.instruments.sweep.measure import Bench, arrays
from gradaudit.instruments.sweep.outcomes import NONE, read
from gradaudit.instruments.sweep.result import RATIO, SweepResult, tabulate
from gradaudit.instruments.sweep.verdict import judge
from gradaudit.results import versions
from gradaudit.training import Recipe, Store
from gradaudit.training.backends import BackendLike, resolve_backend
from gradaudit.training.learners import check_alike
from gradaudit.training.perturbations import Norm
from gradaudit.training.store import as_store
from gradaudit.training.workers import resolve_workers

Strengths = Sequence[float] | None


def sweep(
    train: ImageSet,
    test: ImageSet,
    *,
    denoiser: Denoiser,
    tangent_spaces: Tensor | Any,
    families: str | Sequence[str] | Mapping[str, Strengths] = tuple(STRENGTHS),
    base: Recipe = BASE,
    sigma: float | Sequence[float] = (0.25,),
    similarity: MethodLike = "cosine",
    gradient: MethodLike = "logit",
    score: MethodLike = "auto",
    radius: float | Sequence[float] | None = None,
    samples: int = 10,
    norm: Norm = "l2",
    eps: float | Sequence[float] = (0.5, 1.0, 2.0),
    seed: int = 0,
    store: Store | str | os.PathLike[str] | None = None,
    workers: int | Literal["auto"] = "auto",
    backend: BackendLike = "local",
    device: str | torch.device = "auto",
    show_progress: bool = False,
) -> SweepResult:
    """Accuracy, alignment, and robustness on and off the data manifold along each family's strength, with the regimes.

    The unregularised classifier and one for each family and strength are trained and measured; each is kept in the store as soon as
    it is done, so a sweep that is stopped continues at the same call. Srinivas et al. (2023), Which Models have
    Perceptually-Aligned Gradients?, section 5.

    Args:
        train: images that the classifiers are trained on.
        test: images that they are measured at, two or more, of the same shape and classes.
        denoiser: of such images; `load_denoiser` gives one.
        tangent_spaces: at the test images: orthonormal bases, floats (N, T, F); a function from images, floats (N, C, H, W), to
            such; or what `ga.tangent_spaces` makes them of: an autoencoder, a denoiser, an image set of neighbours. They are made
            once, when all else has been checked.
        families: objectives with a strength: names of those with strengths of their own (`"gradient_penalty"`,
            `"noise_stability"`, `"noise"`, `"adversarial"`), or a mapping to strengths, each above 0 and ascending; None for a
            family's own, which are for `norm="l2"`. A name may have options, and `"package.module:function"` is a user's own.
        base: the recipe of the unregularised classifier; the others differ in their objective, and in its ramp of 0.3.
        sigma: deviations of the score's noise, in pixel values of [0, 1], ascending; the first counts for peaks and correlation.
        similarity: of gradients and scores, as `ga.alignment` takes it; likewise `gradient` and `score`.
        gradient: see `similarity`.
        score: see `similarity`.
        radius: lengths of the noise on and off the manifold, as `ga.manifold_robustness` takes them. Regimes are called at the
            middle one, of an even number the lower.
        samples: draws of that noise an image.
        norm: of the PGD that measures, and of those objectives that have a norm.
        eps: radii of PGD, above 0, ascending.
        seed: of all noise and of the bootstraps; trainings have that of `base`.
        store: a folder or a URL (`s3://bucket/folder`) for finished work, or a Store; the user's own unless given.
        workers: classifiers at once, one thread each; `"auto"` for one a core, or as many as a cluster has room for. It does not
            change the result.
        backend: where they are trained and measured, as `ga.diffroar` takes it. It does not change the result.
        device: `"auto"` or a torch device.
        show_progress: print the time left to standard error.

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
    place = resolve_device(device)
    network = check_base(base, train)
    chosen = read_families(families, norm)
    alike = {"sigma": sigma, "similarity": similarity, "gradient": gradient, "score": score, "radius": radius, "samples": samples}
    options = read_options(test, denoiser, **alike, norm=norm, eps=eps, seed=seed)
    kept = as_store(store)
    crew = resolve_backend(backend, kept, place)
    count = resolve_workers(workers, crew)
    bases = resolve_tangents(tangent_spaces, test, seed, place, show_progress)
    rehearse(options, base, test, denoiser, bases, place)
    common = _common(train, test, denoiser, bases, options, network, seed, place)
    jobs = _jobs(base, chosen, common)
    bench = Bench(arrays(train), arrays(test), bases.numpy(), denoiser, *options[:3], seed, kept, str(place))
    outcomes = run_jobs(jobs, bench, backend=crew, workers=count, show_progress=show_progress)
    details = {"classifiers": [_about(job) | outcome for job, outcome in zip(jobs, outcomes, strict=True)]}
    settings = _settings(base, chosen, common, test) | {"shared_images": shared_images(train, test)}
    table = tabulate(details, settings)
    ratios = table[(table["measure"] == RATIO) & table["parameter"].isna()]["value"]
    return SweepResult(table, judge(read(details), list(ratios), settings), settings, details)


def _common(
    train: ImageSet,
    test: ImageSet,
    denoiser: Denoiser,
    bases: Tensor,
    options: Options,
    network: str,
    seed: int,
    device: torch.device,
) -> dict[str, Any]:
    """What decides every classifier's outcome beside its recipe, in JSON values."""
    radii = options.moved["radius"]
    return {
        **options.names,
        "methods": options.methods,
        "sigma": list(options.aligned["sigma"]),
        "radius": list(radii),
        "samples": options.moved["samples"],
        "norm": options.robust["norm"],
        "eps": list(options.robust["eps"][1:]),
        "steps": options.robust["steps"],
        "seed": seed,
        "network": network,
        "denoiser": classifier_fingerprint(denoiser),
        "tangent_spaces": fingerprint(bases),
        "train_fingerprint": train.fingerprint,
        "test_fingerprint": test.fingerprint,
        "device": device.type,
    }


def _jobs(base: Recipe, families: tuple[Family, ...], common: Mapping[str, Any]) -> list[Job]:
    recipes = [(NONE, 0.0, base)]
    recipes += [(family.name, strength, family.recipe(base, strength)) for family in families for strength in family.strengths]
    keys = {"what": "regimes", **common, "versions": versions()}
    precision = {"precision": resolve_precision(base.precision, torch.device(common["device"]))}
    described = ((*one, {**keys, "recipe": one[2].model_dump() | precision}) for one in recipes)
    return [Job(*one) for one in described]


def _about(job: Job) -> dict[str, Any]:
    return {"family": job.family, "strength": job.strength, "objective": job.recipe.objective}


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
