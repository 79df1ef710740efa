"""Where an image of one class differs from its nearest neighbours of the others, by the training images alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradaudit.errors import require
from gradaudit.images import ImageSet, digests
from gradaudit.memory import at_most
from gradaudit.training.learners import check_alike

CHUNK = 2**25  # numbers of a temporary: images beside training images
AT_ONCE = 2048  # training images at once
HELD = 16  # bytes of an image for each of its numbers, or for each training image
TEMPORARIES = 3  # arrays of such a part that are held at once


@dataclass(frozen=True, eq=False)
class Contrasts:
    """The contrast of each image.

    Args:
        maps: floats (N, C, H, W).
        voted: int64 (N,), the class that most of an image's nearest training images have; the nearest one's where several have as
            many.
    """

    maps: Tensor
    voted: Tensor


def class_contrasts(
    images: ImageSet, train: ImageSet, *, neighbours: int = 30, targets: Tensor | None = None, device: str | torch.device = "cpu"
) -> Contrasts:
    """The mean of an image's nearest training images of its class, less that of its nearest ones of all other classes.

    Up to a factor it is the difference of two scores, of the class and of the others, where a density is estimated by nearest
    neighbours (the mean shift of Fukunaga and Hostetler, 1975); the second are the image's nearest unlike neighbours (Dasarathy,
    1995). Distances are L2 over pixels in [0, 1]. A training image that is the image itself is left out.

    Args:
        images: N images.
        train: of the same shape and classes; of each class of `targets` more than `neighbours`, and as many of the others.
        neighbours: how many of each.
        targets: int64 (N,), the class of each image; its label unless given.
        device: where to compute.

    Raises:
        InputError: an argument is not as above.
    """
    check_alike(train, images)
    targets = images.labels if targets is None else targets
    require(len(targets) == len(images), "targets", f"of {len(targets):,} images", f"a class for each of the {len(images):,}")
    require(neighbours >= 1, "neighbours", neighbours, "1 or more")
    check_enough(train, targets, neighbours)
    place = torch.device(device)
    maps, voted = torch.empty(len(images), *images.shape), torch.empty(len(images), dtype=torch.int64)
    copies = _copies(images, train)
    step = compared_at_once(images, train)
    for start in range(0, len(images), step):
        part = slice(start, start + step)
        shown, wanted = images.floats(part, place).flatten(1), targets[part].to(place)
        apart = distances(shown, train, place)
        for row, which in enumerate(copies[part]):
            apart[row, which] = torch.inf
        own = wanted[:, None] == train.labels.to(place)
        near, unlike = (_nearest_mean(apart.masked_fill(mask, torch.inf), neighbours, train, place) for mask in (~own, own))
        maps[part] = (near - unlike).view(-1, *images.shape).cpu()
        nearest = train.labels.to(place)[apart.topk(neighbours, dim=1, largest=False).indices]
        voted[part] = _vote(nearest, len(train.classes)).cpu()
    return Contrasts(maps, voted)


def compared_at_once(images: ImageSet, train: ImageSet) -> int:
    """How many images are compared with all training images at once."""
    larger = max(images.images[0].numel(), len(train))
    return min(at_most(len(images), HELD * larger), max(1, CHUNK // larger))


def held_bytes(images: ImageSet, train: ImageSet) -> float:
    """Bytes of the contrasts of all images and of those of others, and of a part of both sets while its distances are taken."""
    each = 4 * images.images[0].numel()
    part = min(len(train), at_most(AT_ONCE, TEMPORARIES * each)) * TEMPORARIES * each
    return float(2 * len(images) * each + part)


def check_enough(train: ImageSet, targets: Tensor, neighbours: int) -> None:
    """Refuse training images of which too few are of one of the targets, or of the other classes.

    Raises:
        InputError: naming `train`.
    """
    counts = torch.bincount(train.labels, minlength=max(len(train.classes), int(targets.max()) + 1))
    for one in sorted({*targets.tolist()}):
        found = int(counts[one])
        name = train.classes[one] if one < len(train.classes) else f"number {one}"
        expected = (
            f"more than {neighbours} images of each class that is asked about, and as many of others (neighbours={neighbours})"
        )
        require(found > neighbours and len(train) - found >= neighbours, "train", f"{found:,} of class {name}", expected)


def _copies(images: ImageSet, train: ImageSet) -> list[list[int]]:
    """For each image the places of the training images that are the image itself, pixel for pixel."""
    places: dict[bytes, list[int]] = {}
    for place, digest in enumerate(digests(train)):
        places.setdefault(digest, []).append(place)
    return [places.get(digest, []) for digest in digests(images)]


def distances(shown: Tensor, train: ImageSet, place: torch.device) -> Tensor:
    """Squared distances (n, M) to the training images."""
    parts = []
    step = at_most(AT_ONCE, TEMPORARIES * shown[0].nbytes)
    for start in range(0, len(train), step):
        other = train.floats(slice(start, start + step), place).flatten(1)
        parts.append((shown**2).sum(1)[:, None] + (other**2).sum(1)[None] - 2 * shown @ other.T)
    return torch.cat(parts, dim=1)


def _nearest_mean(apart: Tensor, count: int, train: ImageSet, place: torch.device) -> Tensor:
    """The mean (n, F) of the nearest training images at finite distances; of fewer where there are fewer."""
    far, which = apart.topk(count, dim=1, largest=False)
    there = [one[known].cpu() for one, known in zip(which, far.isfinite(), strict=True)]
    require(all(map(len, there)), "train", "copies of an image", "other images of its class, and of others, than the image itself")
    return torch.stack([train.floats(one, place).flatten(1).mean(0) for one in there])


def _vote(labels: Tensor, classes: int) -> Tensor:
    counts = torch.nn.functional.one_hot(labels, classes).sum(1).float()
    first = torch.nn.functional.one_hot(labels[:, 0], classes).float()
    return (counts + 0.5 * first).argmax(1)
