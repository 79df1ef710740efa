"""`manifold_robustness`: noise on the manifold, noise off it, the change of the softmax."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.batching import batch_size_for, frozen, halving, placed
from gradaudit.classifiers import check_classifier, classifier_fingerprint
from gradaudit.devices import resolve_device
from gradaudit.errors import require
from gradaudit.files import fingerprint
from gradaudit.identity import identity
from gradaudit.images import ImageSet
from gradaudit.instruments.manifold_robustness.arguments import Bases, paper_radii, resolve_bases
from gradaudit.instruments.manifold_robustness.measure import DIRECTIONS, changes, explained
from gradaudit.instruments.manifold_robustness.options import ManifoldRobustnessOptions
from gradaudit.instruments.manifold_robustness.result import ManifoldRobustnessResult, tabulate
from gradaudit.instruments.manifold_robustness.verdict import judge
from gradaudit.options import takes
from gradaudit.progress import progress

CHECKED = 256  # images whose way to their nearest neighbour is looked at
OTHERS = 2000  # images among which that is looked for
NUMBERS = 2**26  # of theirs at most

ChangesAndShares = tuple[Tensor, Tensor, int]


@takes(ManifoldRobustnessOptions)
def manifold_robustness(
    classifier: nn.Module,
    images: ImageSet,
    tangent_spaces: Tensor | Callable[[Tensor], Tensor],
    options: ManifoldRobustnessOptions,
) -> ManifoldRobustnessResult:
    """How much a classifier's softmax changes under noise on the data manifold and under noise off it, with intervals.

    Gaussian noise is projected into the tangent space at an image and into its complement; both parts are scaled to one length and
    added to the image, and the change is the L1 distance between the softmax outputs with and without. Noisy images are not cut to
    [0, 1], which would take them off the tangent space; noise belongs to an image and not to its batch. `result.ratio()` is the
    relative off-manifold robustness. The measurement is that of Srinivas et al. (2023), Which Models have Perceptually-Aligned
    Gradients?

    Args:
        classifier: what is audited: images in [0, 1] to logits (N, K), its normalisation inside it. It is moved to `device`.
        images: images; their labels play no part.
        tangent_spaces: orthonormal bases, floats (N, T, F) with T < F = C * H * W, in the images' order, as `ga.tangent_spaces`
            gives them; or a function from images, floats (n, C, H, W), to such, which is asked batch by batch and saves memory.
        {options}

    Returns:
        A result with `table` (`direction`, `radius`, `change`, `low`, `high`), `ratio()`, `verdict` (`off-manifold robust`,
        `not off-manifold robust` or `inconclusive`), `plot()` and `save(folder)`.

    Raises:
        InputError: a bad argument: among others bases that are not orthonormal, or that leave nothing off the manifold; a
            classifier whose logits are not finite at noisy images.
    """
    require(isinstance(images, ImageSet), "images", type(images).__name__, "an ImageSet; load_images makes one")
    radii = paper_radii(images.images[0].numel()) if options.radius is None else options.radius
    place = resolve_device(options.device)
    classifier, caveats = check_classifier(classifier, images)
    sizes = batches(options.batch_size, classifier, images, place, 2 * len(radii))
    bases = resolve_bases(tangent_spaces, images)
    owner = classifier_fingerprint(classifier)
    classifier.to(place)
    with frozen(classifier):
        details = _details(classifier, images, bases, radii, options, *sizes)
    settings = {
        "radius": list(radii),
        "samples": options.samples,
        "seed": options.seed,
        "tangent_spaces": _fingerprint(tangent_spaces),
        "classifier": owner,
        **images.settings,
        "device": place.type,
    }
    table = tabulate(details, settings)
    return ManifoldRobustnessResult(table, judge(table, details, settings).with_caveats(caveats), settings, details)


def _details(
    classifier: nn.Module,
    images: ImageSet,
    bases: Bases,
    radii: Sequence[float],
    options: ManifoldRobustnessOptions,
    at_once: int,
    size: int,
) -> dict[str, Any]:
    """What became of every image, how much the bases explain, and their dimension."""
    others = _precise(classifier, images.floats(slice(0, max(2, min(OTHERS, NUMBERS // images.images[0].numel()))))).flatten(1)

    def work(part: slice) -> ChangesAndShares:
        pixels = _precise(classifier, images.floats(part))
        own = bases(part, pixels)
        checked = max(0, CHECKED - part.start)
        shares = explained(pixels[:checked], own[:checked], others)
        return changes(classifier, pixels, own, radii, options.samples, options.seed, size).cpu(), shares.cpu(), own.shape[1]

    found: list[ChangesAndShares] = []
    with progress("manifold robustness", len(images), options.show_progress) as advance:
        for part, one in halving(work, len(images), at_once):
            found.append(one)
            advance(part.stop - part.start)
    values = torch.cat([moved for moved, _, _ in found]).permute(1, 2, 0)
    shares = torch.cat([share for _, share, _ in found]).numpy()
    return {
        "changes": {direction: values[place].tolist() for place, direction in enumerate(DIRECTIONS)},
        "explained": None if np.isnan(shares).all() else float(np.nanmean(shares)),
        "dimensions": found[0][2],
    }


def _precise(classifier: nn.Module, floats: Tensor) -> Tensor:
    """The images on the classifier's device, in its precision but single at least: half would round short noise away."""
    found = placed(classifier, floats)
    return found if found.dtype.itemsize >= floats.dtype.itemsize else floats.to(found.device)


def batches(batch_size: int | str, classifier: nn.Module, images: ImageSet, place: torch.device, variants: int) -> tuple[int, int]:
    """How many images are moved at once, each in so many variants, and how many of these the classifier is given at once."""
    if isinstance(batch_size, str):
        size = batch_size_for(classifier, images.floats([0]), device=place)
        return max(1, size // variants), size
    return batch_size, batch_size * variants


def _fingerprint(tangent_spaces: Any) -> str:
    return fingerprint(*([tangent_spaces] if isinstance(tangent_spaces, Tensor) else identity(tangent_spaces)))
