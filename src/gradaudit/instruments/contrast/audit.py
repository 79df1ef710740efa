"""`contrast`: attribute, find the neighbours, compare."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.attributions import controls_beside, named_attributions, opened
from gradaudit.classifiers import check_classifier, classifier_fingerprint
from gradaudit.devices import resolve_device
from gradaudit.errors import require
from gradaudit.images import ImageSet
from gradaudit.instruments.alignment.similarities.cosine import cosine
from gradaudit.instruments.alignment.similarities.magnitude_cosine import magnitude_cosine
from gradaudit.instruments.contrast.neighbours import class_contrasts
from gradaudit.instruments.contrast.options import ContrastOptions
from gradaudit.instruments.contrast.result import MEASURES, OTHER, ContrastResult, tabulate
from gradaudit.instruments.contrast.verdict import judge
from gradaudit.instruments.counterfactual.arguments import probabilities_of
from gradaudit.options import takes
from gradaudit.packing import pack
from gradaudit.progress import Advance, progress
from gradaudit.training.learners import check_alike

Stream = Iterator[tuple[slice, Tensor]]


@takes(ContrastOptions, "attribution")
def contrast(classifier: nn.Module, train: ImageSet, test: ImageSet, options: ContrastOptions) -> ContrastResult:
    """Whether a map lies where an image differs from its nearest neighbours of other classes.

    The mean of the nearest training images of an image's class, less that of the nearest ones of all other classes, shows where
    classes differ there, whatever any classifier does: `class_contrasts`. It is compared with the map by the cosine of both
    magnitudes, and, signs included, by the cosine. Nothing is trained, and no mask and no denoiser is needed. Pixel distances must
    mean something: the result says how often the neighbours' majority is right.

    Args:
        classifier: what is audited: images in [0, 1] to logits (N, K), its normalisation inside it. It is moved to `device`.
        train: images among which neighbours are looked for.
        test: images whose maps are compared.
        {options}

    Returns:
        A result with `table`, `verdict` (`where classes differ`, `elsewhere` or `inconclusive`), `per_image(attribution)`, `plot()`
        and `save(folder)`.

    Raises:
        InputError: a bad argument, before anything long begins; too few training images of a class.
    """
    check_alike(train, test)
    require(len(test) > 1, "test", test, "two images or more")
    audited = named_attributions(options.attribution, options.seed)
    beside, left_out = controls_beside(options.controls, audited, options.seed)
    place = torch.empty(0, device=resolve_device(options.device)).device
    classifier, caveats = check_classifier(classifier, test)
    classifier = classifier.to(place)
    targets = test.labels if options.target == "label" else probabilities_of(classifier, test, place).argmax(1).cpu()
    how: dict[str, Any] = {"target": targets, "seed": options.seed, "batch_size": options.batch_size, "device": place}
    streams, impossible, doubts = opened(classifier, test, audited, beside, **how)
    found = class_contrasts(test, train, neighbours=options.neighbours, targets=targets, device=place)
    others = found.maps[another(targets)]
    with progress("comparing maps", len(test) * len(streams), options.show_progress) as advance:
        read = {name: _compared(stream, found.maps, others, advance) for name, stream in streams.items()}
    first = next(iter(audited))
    settings = {
        "attributions": list(audited),
        "controls": [name for name in beside if name in streams],
        "left_out": left_out | impossible,
        "neighbours": options.neighbours,
        "target": options.target,
        "seed": options.seed,
        "device": place.type,
        "classifier": classifier_fingerprint(classifier),
        **test.settings,
        "train_images": len(train),
        "train_fingerprint": train.fingerprint,
    }
    details = {
        "targets": pack(targets.numpy()),
        "voted": float((found.voted == targets).double().mean()),
        "chance": int(torch.bincount(train.labels).max()) / len(train),
        "per_image": {name: {measure: pack(one[measure]) for measure in MEASURES} for name, one in read.items()},
        OTHER: {measure: pack(read[first][f"{OTHER} {measure}"]) for measure in MEASURES},
    }
    table = tabulate(details, settings)
    return ContrastResult(table, judge(table, details, settings).with_caveats((*caveats, *doubts)), settings, details)


def another(targets: Tensor) -> Tensor:
    """For each image the place of the next one of its class, after the last the first; of any class where it is alone in its own.

    Were it of another class, whatever a map and a contrast owe to their class would count as a lead, and by that the maps of a
    network with weights drawn at random are better or worse than chance in one audit of ten.

    Args:
        targets: int64 (N,), the class of each image.
    """
    found = torch.arange(1, len(targets) + 1) % len(targets)
    for one in sorted({*targets.tolist()}):
        places = (targets == one).nonzero().flatten()
        if len(places) > 1:
            found[places] = places.roll(-1)
    return found


def _compared(stream: Stream, contrasts: Tensor, others: Tensor, advance: Advance) -> dict[str, np.ndarray]:
    """Each measure of every image; and of its map beside the contrast of another image, which is what chance gives."""
    parts: list[dict[str, Tensor]] = []
    for which, scores in stream:
        maps = scores.cpu()
        parts.append(_cosines(maps, contrasts[which], "") | _cosines(maps, others[which], f"{OTHER} "))
        advance(len(maps))
    return {name: torch.cat([part[name] for part in parts]).float().numpy() for name in parts[0]}


def _cosines(maps: Tensor, contrasts: Tensor, prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}magnitudes": magnitude_cosine(maps, contrasts), f"{prefix}signed": cosine(maps, contrasts)}
