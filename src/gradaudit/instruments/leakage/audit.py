"""`leakage`: attribute, compare with the mask, count."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.attributions import CONTROLS, Attribution, AttributionLike, Features, attribute, named_controls
from gradaudit.classifiers import check_classifier, classifier_fingerprint
from gradaudit.devices import resolve_device
from gradaudit.errors import require
from gradaudit.images import ImageSet
from gradaudit.instruments.leakage.arguments import areas, check_top, check_whole, named_attributions, with_signal
from gradaudit.instruments.leakage.measures import measure
from gradaudit.instruments.leakage.packing import pack
from gradaudit.instruments.leakage.result import LeakageResult, tabulate
from gradaudit.instruments.leakage.verdict import judge
from gradaudit.progress import Advance, progress
from gradaudit.training import measure_accuracy

Stream = Iterator[tuple[slice, Tensor]]


def leakage(
    classifier: nn.Module,
    images: ImageSet,
    *,
    attribution: AttributionLike | Mapping[str, AttributionLike] | Sequence[Any] = "logit_gradient",
    target: Literal["label", "predicted"] = "label",
    top: float | Sequence[float] = (0.05, 0.1, 0.2),
    signal_mask: Tensor | np.ndarray | None = None,
    controls: Sequence[str] = CONTROLS,
    features: Features = "coordinates",
    seed: int = 0,
    device: str | torch.device = "auto",
    batch_size: int | Literal["auto"] = "auto",
    show_progress: bool = False,
) -> LeakageResult:
    """Whether attributions stay on the part of each image that carries its label, where that part is known.

    Shah, Jain and Netrapalli (2021), section 5: in BlockMNIST one block holds the digit, the other nothing that tells the class, so
    whatever an attribution puts there has leaked.

    Args:
        classifier: what is audited: images in [0, 1] to logits (N, K), its normalisation inside it. It is moved to `device`.
        images: images with their labels.
        attribution: one or a list of: the spec of an attribution, a function `(classifier, images, targets) -> scores`, scores
            (N, C, H, W) computed elsewhere, or `{"my name": any of these}`. The verdict is about the first.
        target: the class that is attributed: the `"label"` or the `"predicted"` one.
        top: shares of the features that count as top-ranked, each in (0, 1); the verdict is about the middle one.
        signal_mask: boolean (N, H, W), True where the image carries its label; the images' own unless given.
        controls: names of controls that run beside: attributions that know no classifier, one that is untrained, or a blurred map.
        features: `"coordinates"` ranks all C*H*W values, `"pixels"` the H*W positions by the sum of magnitudes over channels.
        seed: of ties, controls and attributions that draw. Ties are drawn by seed and the image's place in the set.
        device: `"auto"` or a torch device.
        batch_size: images at once; `"auto"` for as many as fit in memory. It does not change the result.
        show_progress: print the time left to standard error.

    Returns:
        A result with `table`, `verdict` (`leaks`, `stays` or `inconclusive`), `per_image(attribution)`, `plot()`, `save(folder)`.

    Raises:
        InputError: a bad argument, before anything long begins; images without a mask, or whose mask covers all or nothing.
    """
    masked = with_signal(images, signal_mask)
    levels = check_top(top)
    check_whole("seed", seed, 0)
    for argument, value, choices in (("features", features, ("coordinates", "pixels")), ("target", target, ("label", "predicted"))):
        require(value in choices, argument, value, " or ".join(f'"{choice}"' for choice in choices))
    audited, beside = named_attributions(attribution, seed), named_controls(controls, seed)
    require(not set(audited) & set(beside), "controls", list(controls), "other attributions than the audited ones")
    place = resolve_device(device)
    classifier, doubts = check_classifier(classifier, masked)
    # Opening a stream checks its attribution: all are opened before the first, perhaps long, one is drawn from.
    options: dict[str, Any] = {"target": target, "seed": seed, "batch_size": batch_size, "device": place}
    streams = {name: attribute(classifier, masked, one, **options) for name, one in (audited | beside).items()}
    settings = _settings(classifier, masked, audited, beside) | {
        "top": list(levels),
        "features": features,
        "target": target,
        "seed": seed,
        "device": place.type,
    }
    accuracy = measure_accuracy(classifier, masked, device=place)
    with progress("attributing", len(masked) * len(streams), show_progress) as advance:
        measured = {name: _measured(one, masked, levels, features, seed, advance) for name, one in streams.items()}
    details = _details(masked, measured, accuracy)
    table = tabulate(details, settings)
    return LeakageResult(table, judge(table, details, settings).with_caveats(doubts), settings, details)


def _measured(
    stream: Stream, images: ImageSet, levels: Sequence[float], features: Features, seed: int, advance: Advance
) -> dict[str, Any]:
    """Each measure of every image, packed; and how many images' maps repeat another's."""
    parts: list[dict[str, np.ndarray]] = []
    maps: set[bytes] = set()
    assert images.signal_mask is not None
    for which, scores in stream:
        signal = images.signal_mask[which].to(scores.device)
        parts.append(measure(scores, signal, which.start, levels=levels, features=features, seed=seed))
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
        "classes": list(images.classes),
        "shape": list(images.shape),
        "images": len(images),
        "images_fingerprint": images.fingerprint,
    }
