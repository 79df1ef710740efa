"""`trust_radius`: noise around each image, and what the gradient at the image says of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from gradaudit.batching import forward_size, frozen
from gradaudit.classifiers import check_classifier, class_count, classifier_fingerprint
from gradaudit.devices import resolve_device
from gradaudit.errors import require
from gradaudit.images import ImageSet
from gradaudit.instruments.trust_radius.options import TrustRadiusOptions
from gradaudit.instruments.trust_radius.result import TrustRadiusResult, tabulate
from gradaudit.instruments.trust_radius.surroundings import Surroundings
from gradaudit.instruments.trust_radius.verdict import judge
from gradaudit.options import takes
from gradaudit.packing import pack
from gradaudit.progress import progress

FORWARD = 128  # images at once on a CPU, where the way forward alone is fastest at some hundred


@takes(TrustRadiusOptions)
def trust_radius(classifier: nn.Module, images: ImageSet, options: TrustRadiusOptions) -> TrustRadiusResult:
    """How far from an image its gradient predicts the change of the classifier's margin under Gaussian noise.

    The margin is that of the predicted class over the rival whose boundary is nearest to first order. The trust radius is the
    standard deviation of the noise up to which the gradient explains at least half of the margin's mean squared change, the mean
    over images. Beside it, the probability that the predicted class is kept, by Monte Carlo and by four estimates: from the margins
    and gradients at the image (Taylor) or averaged over noisy copies (MMSE), both from Han, Srinivas and Lakkaraju (UAI 2024, arXiv
    2307.13885); from the margins' moments, without gradients; and the confidence of the softmax. Noisy copies are not clipped to
    [0, 1].

    Args:
        classifier: what is audited: images in [0, 1] to logits (N, K), its normalisation inside it. It is moved to `device`.
        images: images; their labels play no part.
        {options}

    Returns:
        A result with `table`, `radius`, `length`, `agreement`, `verdict` (`wide`, `local`, `nowhere` or `inconclusive`),
        `per_image()`, `plot()` and `save(folder)`.

    Raises:
        InputError: a bad argument, before anything long begins; logits that are not finite at a noisy copy.
    """
    require(isinstance(images, ImageSet), "images", type(images).__name__, "an ImageSet; load_images makes one")
    place = torch.empty(0, device=resolve_device(options.device)).device
    classifier, caveats = check_classifier(classifier, images)
    classifier = classifier.to(place)
    size = options.batch_size
    if size == "auto":
        size = forward_size(classifier, images.floats([0]), device=place, most=FORWARD)
    around = Surroundings(
        classifier, images, options.sigma, options.copies, options.pairs, options.classes, options.seed, size, place
    )
    with frozen(classifier), progress("trust radius", len(images), options.show_progress) as advance:
        details = {name: pack(found) for name, found in around.explored(advance)._asdict().items()}
    settings = _settings(classifier, images) | {
        "sigma": list(options.sigma),
        "copies": options.copies,
        "pairs": options.pairs,
        "classes_followed": min(options.classes, class_count(classifier, images) - 1),
        "seed": options.seed,
        "device": place.type,
    }
    table = tabulate(details, settings)
    return TrustRadiusResult(table, judge(table, details, settings).with_caveats(caveats), settings, details)


def _settings(classifier: nn.Module, images: ImageSet) -> dict[str, Any]:
    return {
        "classifier": classifier_fingerprint(classifier),
        **images.settings,
    }
