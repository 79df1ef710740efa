"""Which images the command changes, and into what."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from gradaudit.errors import require
from gradaudit.images import ImageSet, stratified
from gradaudit.instruments.counterfactual.arguments import probabilities_of
from gradaudit.instruments.counterfactual.options import CounterfactualCommand

POOL = 2000  # images, from which those are drawn that a target fits


def half(training: ImageSet, testing: ImageSet, split: str) -> ImageSet:
    """Half of the data, or all; masks only where all have them."""
    if split != "both":
        return testing if split == "test" else training
    halves, masks = (training, testing), [one.signal_mask for one in (training, testing) if one.signal_mask is not None]
    pixels, labels = (torch.cat([getattr(one, name) for one in halves]) for name in ("images", "labels"))
    return ImageSet(pixels, labels, testing.classes, torch.cat(masks) if len(masks) == 2 else None)


def choose(
    classifier: nn.Module, every: ImageSet, options: CounterfactualCommand, seed: int, device: torch.device
) -> tuple[ImageSet, str | list[int]]:
    """So many images of those that the target fits, and the target of all or of each.

    Raises:
        InputError: no such target, or one that fits no image.
    """
    target, count = options.target, options.images
    if target in ("second", "all") and target not in every.classes:
        return every.sample(min(count, len(every)), seed), target
    pairs = _pairs(target, every.classes)
    pool = every.sample(min(POOL, len(every)), seed)
    present = probabilities_of(classifier.to(device), pool, device).argmax(dim=1)
    fits = torch.isin(present, torch.tensor([*pairs])).nonzero()[:, 0]
    expected = "one that fits some images: of the class to change from, as the classifier sees them"
    require(len(fits) > 0, "--target", target, expected)
    which = fits[stratified(present[fits], min(count, len(fits)), seed)]
    return pool[which], [pairs[one] for one in present[which].tolist()]


def _pairs(target: str, classes: Sequence[str]) -> dict[int, int]:
    """For each class to change from, the class to change to, by index."""
    expected = f"`second`, `all`, a class, or pairs such as {classes[0]}={classes[-1]}, of: {', '.join(classes[:20])}"
    if target in classes:
        return {one: classes.index(target) for one in range(len(classes)) if classes[one] != target}
    pairs = [pair.strip().partition("=") for pair in target.split(",")]
    good = all(now in classes and wanted in classes and now != wanted for now, _, wanted in pairs)
    require(good and len({now for now, *_ in pairs}) == len(pairs), "--target", target, expected)
    return {classes.index(now): classes.index(wanted) for now, _, wanted in pairs}
