"""`sensitivity`: noise on the signal alone and on the rest alone, and how much each changes the output."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.batching import batch_size_for, evaluating, halving, probabilities
from gradaudit.classifiers import check_classifier, classifier_fingerprint
from gradaudit.devices import resolve_device
from gradaudit.errors import is_whole, require, require_whole
from gradaudit.images import ImageSet
from gradaudit.instruments.leakage.arguments import check_std, with_signal
from gradaudit.instruments.leakage.sensitivity_result import PARTS, SensitivityResult, judge, tabulate
from gradaudit.noise import generators, normal
from gradaudit.packing import pack
from gradaudit.progress import progress


def sensitivity(
    classifier: nn.Module,
    images: ImageSet,
    *,
    std: float | Sequence[float] = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
    samples: int = 10,
    signal_mask: Tensor | np.ndarray | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    batch_size: int | Literal["auto"] = "auto",
    show_progress: bool = False,
) -> SensitivityResult:
    """How much Gaussian noise changes a classifier's output when only the signal is noisy, and when only the rest is.

    Srinivas, Bordt and Lakkaraju (2023), MNIST with a distractor: a classifier that is robust to noise on the distractor alone has
    gradients that leave it dark.

    Args:
        classifier: images in [0, 1] to logits (N, K), its normalisation inside it. It is moved to `device`.
        images: images with their labels.
        std: standard deviations of the noise, in units of pixel values of [0, 1]; noisy images are not clipped to [0, 1]. The
            verdict is about the middle one.
        samples: draws of noise for each image; each serves both parts and every standard deviation.
        signal_mask: boolean (N, H, W), True where the image carries its label; the images' own unless given.
        seed: of the noise, which depends on the image and the seed alone.
        device: `"auto"` or a torch device.
        batch_size: images at once; `"auto"` for as many as fit in memory. It does not change the result.
        show_progress: print the time left to standard error.

    Returns:
        A result with `table`, `ratio()`, `verdict` (`focused`, `distracted` or `inconclusive`), `plot()` and `save(folder)`.

    Raises:
        InputError: a bad argument, before anything long begins; images without a mask, or whose mask covers all or nothing; a
            classifier whose logits are not finite at noisy images.
    """
    masked = with_signal(images, signal_mask)
    levels = check_std(std)
    require_whole("samples", samples, 1, 2**31 - 1)
    require_whole("seed", seed, most=2**31 - 1)
    place = resolve_device(device)
    classifier, caveats = check_classifier(classifier, masked)
    classifier = classifier.to(place)
    size = _batch_size(batch_size, classifier, masked, place)
    work = partial(_changes, classifier, masked, levels, samples, seed, place)
    changes = np.empty((len(PARTS), len(levels), len(masked)))
    with progress("adding noise", len(masked), show_progress) as advance, evaluating(classifier), torch.inference_mode():
        for which, found in halving(work, len(masked), size):
            changes[..., which] = found.cpu().numpy()
            advance(which.stop - which.start)
    settings = {
        "std": list(levels),
        "samples": samples,
        "seed": seed,
        "device": place.type,
        "classifier": classifier_fingerprint(classifier),
        **masked.settings,
    }
    assert masked.signal_mask is not None
    details = {"changes": pack(changes), "signal_area": float(masked.signal_mask.double().mean())}
    table = tabulate(details, settings)
    return SensitivityResult(table, judge(details, settings).with_caveats(caveats), settings, details)


def _changes(
    classifier: nn.Module,
    images: ImageSet,
    levels: Sequence[float],
    samples: int,
    seed: int,
    device: torch.device,
    which: slice,
) -> Tensor:
    """The mean L1 distance between softmax outputs with and without noise: (parts, levels, n), each in [0, 2]."""
    batch = images.floats(which, device)
    assert images.signal_mask is not None
    signal = images.signal_mask[which].to(device)[:, None]
    clean, sources = probabilities(classifier, batch), generators(batch, seed)
    total = torch.zeros(len(PARTS), len(levels), len(batch), dtype=torch.float64, device=device)
    for _ in range(samples):
        noise = normal(sources, batch)
        for part, where in enumerate((signal, ~signal)):
            for level, std in enumerate(levels):
                noisy = probabilities(classifier, batch + std * noise * where)
                total[part, level] += (noisy - clean).abs().sum(1)
    return total / samples


def _batch_size(batch_size: Any, classifier: nn.Module, images: ImageSet, device: torch.device) -> int:
    if batch_size == "auto":
        return batch_size_for(classifier, images.floats([0]), device=device)
    whole = is_whole(batch_size) and batch_size >= 1
    require(whole, "batch_size", batch_size, '"auto" or a whole number, 1 or more')
    return int(batch_size)
