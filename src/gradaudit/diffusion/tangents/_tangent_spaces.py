"""`tangent_spaces`: from whatever knows the manifold to a basis at each image."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Literal, get_type_hints

import torch
from torch import Tensor, nn

from gradaudit.batching import frozen, halving
from gradaudit.devices import resolve_device
from gradaudit.errors import InputError, is_whole, require
from gradaudit.images import ImageSet
from gradaudit.memory import at_most
from gradaudit.progress import progress
from gradaudit.registry import Registry, Spec, options_of

TANGENTS = Registry("gradaudit.diffusion.tangents", "way to tangent spaces")
AT_ONCE = {"cpu": 4, "cuda": 128}  # images; each brings its whole basis along, and fresh memory costs a CPU time

COPIES = 6  # of an image's neighbours, or of its basis, that its way to a basis holds at once
NEIGHBOURS, DIMENSIONS = 50, 16  # usual ones

Way = Callable[[Tensor, Any], Tensor]


def tangent_spaces(
    images: ImageSet | Tensor,
    source: Any,
    *,
    dimensions: int | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    batch_size: int | Literal["auto"] = "auto",
    show_progress: bool = False,
    **options: Any,
) -> Tensor:
    """An orthonormal basis (N, T, F) of the data manifold's tangent space at each image, floats on the CPU.

    Args:
        images: an image set, or floats (N, C, H, W) in [0, 1]; F = C * H * W.
        source: what knows the manifold: an `Autoencoder` (its decoder's Jacobian), a `Denoiser` (the leading directions of its
            Jacobian at noise `sigma`), an `ImageSet` (principal directions of the nearest `neighbours`), or a `GaussianMixture`
            (exact).
        dimensions: T; the way's own choice unless given: an autoencoder's latent, a mixture's own dimension, otherwise 16.
        seed: of random starts, each of which belongs to an image and not to its batch.
        device: `"auto"` or a torch device; the source is moved there.
        batch_size: images at once; it does not change the result, but for rounding.
        show_progress: print the time left to standard error.
        **options: those of the way: `sigma` and `iterations` for a denoiser, `neighbours` for an image set.

    Raises:
        InputError: a bad argument, an option that the way does not have, or dimensions that the source can't give.
    """
    way = way_to(source, dimensions=dimensions, seed=seed, **options)
    place = resolve_device(device)
    count, take = _taken(images)
    at_once = spaces_at_once(place, images, source, dimensions, **options) if batch_size == "auto" else batch_size
    require(is_whole(at_once) and at_once >= 1, "batch_size", batch_size, '"auto", or a whole number, 1 or more')
    if isinstance(source, nn.Module):
        source.to(place)

    def work(part: slice) -> Tensor:
        return way(take(part).to(place), source).cpu()

    bases = []
    with progress("tangent spaces", count, show_progress) as advance, _still(source):
        for part, found in halving(work, count, at_once):
            bases.append(found)
            advance(part.stop - part.start)
    return torch.cat(bases)


def spaces_at_once(place: torch.device, images: Any, source: Any, dimensions: int | None = None, **options: Any) -> int:
    """At how many images tangent spaces are found at once, of images like these."""
    most = AT_ONCE["cuda" if place.type == "cuda" else "cpu"]
    return at_most(most, working_bytes(images[:1], source, dimensions, **options)) if place.type == "cpu" else most


def working_bytes(images: Any, source: Any, dimensions: int | None = None, **options: Any) -> float:
    """About the bytes that the tangent space at an image takes while it is found, of images like these."""
    spans = options.get("neighbours", NEIGHBOURS) if isinstance(source, ImageSet) else (dimensions or DIMENSIONS)
    features = images.images[0].numel() if isinstance(images, ImageSet) else images[0].numel()
    return float(COPIES * 4 * int(spans) * features)


def way_to(source: Any, **options: Any) -> Way:
    """The function (images, source) -> bases for a source of that class, with its options bound.

    Args:
        source: as in `tangent_spaces`.
        **options: dimensions, seed and those of the way; `seed` goes to those ways that have one.

    Raises:
        InputError: no way takes such a source, or an option that it does not have.
    """
    taken = {name: get_type_hints(TANGENTS.function("source", name))["source"] for name in TANGENTS.names()}
    for name, kind in taken.items():
        if isinstance(source, kind):
            known = options_of(TANGENTS.function("source", name))
            given = {key: value for key, value in options.items() if key != "seed" or "seed" in known}
            return TANGENTS.bind("source", Spec(name, given))
    kinds = ", ".join(sorted(kind.__name__ for kind in taken.values()))
    raise InputError("source", type(source).__name__, f"one of: {kinds}")


def _taken(images: Any) -> tuple[int, Callable[[slice], Tensor]]:
    if isinstance(images, ImageSet):
        return len(images), images.floats
    good = isinstance(images, Tensor) and images.ndim == 4 and images.is_floating_point() and len(images) > 0
    require(good, "images", images, "an ImageSet, or floats (N, C, H, W) with at least one image")
    return len(images), lambda part: images[part].detach()


def _still(source: Any) -> Any:
    return frozen(source) if isinstance(source, nn.Module) else nullcontext()
