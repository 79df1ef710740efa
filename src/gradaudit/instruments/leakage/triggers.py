"""`verified_triggers`: of the images with a patch that decides their label, those on which a classifier uses it."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradaudit.batching import batch_size_for, evaluating, halving, probabilities
from gradaudit.classifiers import check_classifier
from gradaudit.devices import resolve_device
from gradaudit.errors import InputError, is_whole, require
from gradaudit.images import ImageSet


def verified_triggers(
    classifier: nn.Module,
    images: ImageSet,
    *,
    clean: ImageSet | None = None,
    drop: float | None = None,
    device: str | torch.device = "auto",
    batch_size: int | Literal["auto"] = "auto",
) -> ImageSet:
    """Those of the images on which the classifier uses the patch: it answers by it, and otherwise once the patch is taken away.

    On these images the signal mask is what the classifier uses, not only where the label is: for `leakage`.

    Args:
        classifier: what is audited: images in [0, 1] to logits (N, K). It is moved to `device`.
        images: with a signal mask, True on the patch; those on which it is False everywhere are left out.
        clean: the same images without patches, in the same order. Unless given, a patch is taken away by the mean of the pixels
            around it, channel by channel.
        drop: keep an image where the probability of its label falls by this much or more, above 0 and up to 1, instead of where
            the answer is no longer its label.
        device: `"auto"` or a torch device.
        batch_size: images at once; `"auto"` for as many as fit in memory.

    Raises:
        InputError: a bad argument; or the classifier uses the patch on no image.
    """
    mask = _mask(images)
    number = isinstance(drop, (int, float)) and not isinstance(drop, bool)
    require(drop is None or (number and 0 < drop <= 1), "drop", drop, "a probability above 0 and up to 1, or left out")
    carrying = mask.flatten(1).any(1).nonzero().flatten()
    require(len(carrying) > 0, "images", images, "images of which one carries a patch: their signal mask is False everywhere")
    if clean is not None:
        _check_clean(clean, images, mask)
    place = resolve_device(device)
    classifier = check_classifier(classifier, images).classifier.to(place)
    whole = batch_size == "auto" or (is_whole(batch_size) and batch_size >= 1)
    require(whole, "batch_size", batch_size, '"auto" or a whole number, 1 or more')
    size = batch_size_for(classifier, images.floats([0]), device=place) if batch_size == "auto" else int(batch_size)

    def work(which: slice) -> Tensor:
        chosen = carrying[which]
        with_it, patch = images.floats(chosen, place), mask[chosen].to(place)[:, None]
        without = with_it.where(~patch, around(with_it, patch)) if clean is None else clean.floats(chosen, place)
        before, after = (probabilities(classifier, batch) for batch in (with_it, without))
        return _used(before, after, images.labels[chosen].to(place), drop).cpu()

    with evaluating(classifier), torch.inference_mode():
        used = torch.cat([found for _, found in halving(work, len(carrying), size)])
    kept = carrying[used.all(1)]
    if not len(kept):
        told = f"of {len(carrying):,} images that carry one it gives {int(used[:, 0].sum()):,} their label, and none of these loses"
        lost = "it" if drop is None else f"{drop:g} of its probability"
        expected = f"one that uses the patches: {told} {lost} when the patch is taken away"
        raise InputError("classifier", type(classifier).__name__, expected)
    return images[kept]


def around(images: Tensor, patch: Tensor) -> Tensor:
    """The mean of the pixels that touch the patch from outside, channel by channel: (n, C, 1, 1).

    Args:
        images: floats (n, C, H, W).
        patch: boolean (n, 1, H, W).
    """
    ring = (F.max_pool2d(patch.float(), 3, stride=1, padding=1) > 0) & ~patch
    return (images * ring).sum((2, 3), keepdim=True) / ring.sum((2, 3), keepdim=True)


def _used(before: Tensor, after: Tensor, labels: Tensor, drop: float | None) -> Tensor:
    """Booleans (n, 2): whether the answer is the label, and whether it is owed to the patch; from probabilities (n, K)."""
    fallen = (before - after).gather(1, labels[:, None])[:, 0]
    owed = after.argmax(1) != labels if drop is None else fallen >= drop
    return torch.stack([before.argmax(1) == labels, owed], dim=1)


def _mask(images: Any) -> Tensor:
    expected = "an ImageSet with a signal mask, True on the patch, such as trigger(images)"
    require(isinstance(images, ImageSet), "images", type(images).__name__, expected)
    require(images.signal_mask is not None, "images", images, expected)
    mask: Tensor = images.signal_mask
    covered = int(mask.flatten(1).all(1).sum())
    require(not covered, "images", images, f"images of which the signal mask leaves a part; it covers all of {covered:,} of them")
    return mask


def _check_clean(clean: Any, images: ImageSet, mask: Tensor) -> None:
    like = isinstance(clean, ImageSet) and clean.images.shape == images.images.shape
    require(like, "clean", clean, f"an ImageSet of {len(images):,} images of shape {images.shape}, as those with the patch")
    differ = sum(
        int(((one != other) & ~patch[:, None]).flatten(1).any(1).sum())
        for one, other, patch in zip(*(torch.split(part, 1024) for part in (clean.images, images.images, mask)), strict=True)
    )
    require(not differ, "clean", clean, f"the same images in the same order; {differ:,} of them differ outside the patch")
