"""`leakage`: attribute, compare with the mask, count."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from gradaudit.attributions import Attribution, attribute, check_complete, named_attributions, named_controls
from gradaudit.classifiers import check_classifier, classifier_fingerprint
from gradaudit.devices import resolve_device
from gradaudit.errors import require
from gradaudit.images import ImageSet
from gradaudit.instruments.leakage.arguments import areas, with_signal
from gradaudit.instruments.leakage.measures import measure
from gradaudit.instruments.leakage.options import LeakageOptions
from gradaudit.instruments.leakage.result import LeakageResult, tabulate
from gradaudit.instruments.leakage.verdict import judge
from gradaudit.options import takes
from gradaudit.packing import pack
from gradaudit.progress import Advance, progress
from gradaudit.training import measure_accuracy

Stream = Iterator[tuple[slice, Tensor]]
AT_ONCE = 2**20  # scores that are measured at once: each takes some 50 bytes


@takes(LeakageOptions)
def leakage(classifier: nn.Module, images: ImageSet, options: LeakageOptions) -> LeakageResult:
    """Whether attributions stay on the part of each image that carries its label, where that part is known.

    Shah, Jain and Netrapalli (2021), section 5: in BlockMNIST one block holds the digit, the other nothing that tells the class, so
    whatever an attribution puts there has leaked.

    Args:
        classifier: what is audited: images in [0, 1] to logits (N, K), its normalisation inside it. It is moved to `device`.
        images: images with their labels.
        {options}

    Returns:
        A result with `table`, `verdict` (`leaks`, `stays` or `inconclusive`), `per_image(attribution)`, `plot()`, `save(folder)`.

    Raises:
        InputError: a bad argument, before anything long begins; images without a mask, or whose mask covers all or nothing.
    """
    masked = with_signal(images, options.signal_mask)
    audited, beside = named_attributions(options.attribution, options.seed), named_controls(options.controls, options.seed)
    require(not set(audited) & set(beside), "controls", list(options.controls), "other attributions than the audited ones")
    place = resolve_device(options.device)
    classifier, caveats = check_classifier(classifier, masked)
    # Opening a stream checks its attribution: all are opened before the first, perhaps long, one is drawn from.
    how: dict[str, Any] = {name: getattr(options, name) for name in ("target", "seed", "batch_size")} | {"device": place}
    streams = {name: attribute(classifier, masked, one, warn=False, **how) for name, one in (audited | beside).items()}
    doubts = check_complete(classifier, masked, audited, target=options.target, seed=options.seed, device=place)
    settings = _settings(classifier, masked, audited, beside) | {
        "top": list(options.top),
        "features": options.features,
        "target": options.target,
        "seed": options.seed,
        "device": place.type,
    }
    accuracy = measure_accuracy(classifier, masked, device=place)
    with progress("attributing", len(masked) * len(streams), options.show_progress) as advance:
        measured = {name: _measured(one, masked, options, advance) for name, one in streams.items()}
    details = _details(masked, measured, accuracy)
    table = tabulate(details, settings)
    return LeakageResult(table, judge(table, details, settings).with_caveats((*caveats, *doubts)), settings, details)


def _measured(stream: Stream, images: ImageSet, options: LeakageOptions, advance: Advance) -> dict[str, Any]:
    """Each measure of every image, packed; and how many images' maps repeat another's."""
    how: dict[str, Any] = {"levels": options.top, "features": options.features, "seed": options.seed}
    parts: list[dict[str, np.ndarray]] = []
    maps: set[bytes] = set()
    assert images.signal_mask is not None
    for which, scores in stream:
        signal = images.signal_mask[which].to(scores.device)
        step = max(1, AT_ONCE // scores[0].numel())
        for start in range(0, len(scores), step):
            part = slice(start, start + step)
            parts.append(measure(scores[part], signal[part], which.start + start, **how))
        maps |= {hashlib.blake2b(one.tobytes(), digest_size=16).digest() for one in scores.cpu().numpy()}
        advance(len(scores))
    packed: dict[str, Any] = {name: pack(np.concatenate([part[name] for part in parts])) for name in parts[0]}
    return packed | {"distinct_maps": len(maps)}


def _details(images: ImageSet, measured: Mapping[str, Any], accuracy: float) -> dict[str, Any]:
    assert images.signal_mask is not None
    return {
        "labels": pack(images.labels.numpy()),
        "signal_area": pack(areas(images.signal_mask).numpy() / images.signal_mask[0].numel()),
        "accuracy": accuracy,
        "chance_accuracy": int(images.labels.bincount().max()) / len(images),
        "per_image": dict(measured),
    }


def _settings(
    classifier: nn.Module, images: ImageSet, audited: Mapping[str, Attribution], beside: Mapping[str, Attribution]
) -> dict[str, Any]:
    return {
        "attributions": list(audited),
        "controls": list(beside),
        "classifier": classifier_fingerprint(classifier),
        **images.settings,
    }
