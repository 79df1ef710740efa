"""`alignment`: gradients and scores at the same points, compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from torch import nn

from gradaudit.batching import evaluating, frozen
from gradaudit.classifiers import check_classifier, classifier_fingerprint
from gradaudit.devices import resolve_device
from gradaudit.diffusion import Denoiser
from gradaudit.images import ImageSet
from gradaudit.instruments.alignment.arguments import (
    check_classes,
    check_oracles,
    check_subjects,
    needs_classes,
    resolve_batch_size,
    resolve_scores,
)
from gradaudit.instruments.alignment.denoising import denoising
from gradaudit.instruments.alignment.examples import examples
from gradaudit.instruments.alignment.measure import AlignmentInputs, measure
from gradaudit.instruments.alignment.methods import GRADIENTS, SIMILARITIES, resolve_methods
from gradaudit.instruments.alignment.options import AlignmentOptions
from gradaudit.instruments.alignment.result import AlignmentResult, tabulate
from gradaudit.instruments.alignment.rows import FIXED, rows
from gradaudit.instruments.alignment.statistics import directions
from gradaudit.instruments.alignment.transfer import resolve_transfer_radius, transfer
from gradaudit.instruments.alignment.verdict import judge, telling_sigma
from gradaudit.options import takes


@takes(AlignmentOptions)
def alignment(
    classifier: nn.Module,
    images: ImageSet,
    denoiser: Denoiser,
    *,
    oracles: Mapping[str, nn.Module] | None = None,
    options: AlignmentOptions,
) -> AlignmentResult:
    """How alike a classifier's gradients and a denoiser's scores are, the mean over images, with intervals and controls.

    Every gradient is compared with every score by every similarity at every sigma, both at the same points. Two controls say what
    chance gives: noise in the gradient's place, and the gradient taken at another image. A third, the image's own edges, which
    have no sign, says how much of a likeness of magnitudes is edges. The verdict is about the first gradient, score and similarity.
    Where oracles are given, `transfer` says what they see in images that were changed by the classifier's own gradient.

    Srinivas, Bordt, Lakkaraju (2023), section 4, who take `similarity="lpips"`, and with an unconditional denoiser
    `gradient="logit_sum"`. Their sigma of 0.5 is for images in [-1, 1]: here it is 0.25.

    Args:
        classifier: what is audited: images in [0, 1] to logits (N, K), its normalisation inside it. It is moved to `device`.
        images: two images or more, with their labels.
        denoiser: of such images; `load_denoiser` gives one. It is moved to `device`.
        oracles: other classifiers of the same classes, by name, for `transfer`. They are moved to `device`.
        {options}

    Returns:
        A result with `table`, `transfer`, `verdict` (`aligned`, `not aligned` or `inconclusive`), `per_image()`, `plot()`,
        `gallery()` and `save(folder)`.

    Raises:
        InputError: a bad argument, before anything long begins; or a function of the user's that returns what it must not.
        MissingExtraError: a similarity's package is not installed.
    """
    check_subjects(images, denoiser)
    gradients = resolve_methods("gradient", GRADIENTS, options.gradient)
    scores = resolve_scores(options.score, denoiser)
    similarities = resolve_methods("similarity", SIMILARITIES, options.similarity)
    place = resolve_device(options.device)
    classifier, caveats = check_classifier(classifier, images)
    judges, more = check_oracles({} if oracles is None else oracles, classifier, images)
    conditional = any(needs_classes(one) for one in scores.values())
    if conditional:
        check_classes(classifier, denoiser, images)
    how = (options.noise, options.target, options.seed, place)
    inputs = AlignmentInputs(classifier.to(place), denoiser.to(place), images, gradients, scores, similarities, *how)
    settings = _settings(inputs, options.sigma)
    with frozen(classifier), evaluating(denoiser):
        size = resolve_batch_size(options.batch_size, inputs, options.sigma[0], conditional)
        details = _details(inputs, options.sigma, size, conditional, options.show_progress)
        table = tabulate(details, settings)
        details["examples"] = examples(inputs, telling_sigma(details, settings))
        if judges:
            details["transfer"] = _transferred(inputs, judges, options, size)
    return AlignmentResult(table, judge(table, details, settings).with_caveats((*caveats, *more)), settings, details)


def _transferred(
    inputs: AlignmentInputs, judges: Mapping[str, nn.Module], options: AlignmentOptions, batch_size: int
) -> dict[str, Any]:
    with ExitStack() as modes:
        for one in judges.values():
            modes.enter_context(evaluating(one.to(inputs.device)))
        return transfer(inputs, judges, resolve_transfer_radius(options.transfer_radius, inputs.images), batch_size)


def _details(
    inputs: AlignmentInputs, sigmas: Sequence[float], batch_size: int, conditional: bool, show_progress: bool
) -> dict[str, Any]:
    """The value of every image, and what the checks found."""
    found = denoising(inputs, sigmas, batch_size, conditional)
    measured = measure(inputs, sigmas, batch_size, show_progress)
    names = rows(inputs.gradients, [*inputs.scores], sigmas, [*inputs.similarities])
    return {
        "labels": inputs.images.labels.tolist(),
        "values": [measured.values[row].tolist() for row in names],
        "directions": [{**maps._asdict(), **directions(values)} for maps, values in measured.magnitudes.items()],
        "denoising": found,
    }


def _settings(inputs: AlignmentInputs, sigmas: Sequence[float]) -> dict[str, Any]:
    images, denoiser = inputs.images, inputs.denoiser
    return {
        "gradients": [*inputs.gradients],
        "scores": [*inputs.scores],
        "sigma": list(sigmas),
        "similarities": [*inputs.similarities],
        "fixed_controls": list(FIXED),
        "noise": inputs.noise,
        "target": inputs.target,
        "seed": inputs.seed,
        "device": inputs.device.type,
        "classifier": classifier_fingerprint(inputs.classifier),
        "denoiser": {"fingerprint": classifier_fingerprint(denoiser), "classes": denoiser.classes, **denoiser.description},
        **images.settings,
    }
