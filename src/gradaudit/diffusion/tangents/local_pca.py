"""Tangent spaces of a cloud of images."""

from __future__ import annotations

import torch
from torch import Tensor

from gradaudit.diffusion.tangents._bases import check_dimensions, check_rank
from gradaudit.errors import is_whole, require
from gradaudit.images import ImageSet
from gradaudit.memory import at_most

CHUNK = 4096  # images of the cloud at once
NUMBERS = 2**21  # of theirs at most
TEMPORARIES = 3  # arrays of such a part that are held at once
SPARE = 8  # candidates beyond those wanted: copies of the image are passed over, and rounding may swap near ones


def local_pca(images: Tensor, source: ImageSet, *, dimensions: int | None = None, neighbours: int = 50) -> Tensor:
    """Bases (n, T, F) of the leading principal directions of each image's nearest neighbours (L2 of pixels), about their mean.

    Copies of the image itself are no neighbours.

    Args:
        images: floats (n, C, H, W) in [0, 1].
        source: where the neighbours are from, of the images' shape.
        dimensions: T, below the number of neighbours; 16 unless given.
        neighbours: how many; at most the number of images in the source.

    Raises:
        InputError: another shape, too few images or neighbours, or neighbours that span fewer dimensions.
    """
    shape = tuple(images.shape[1:])
    require(source.shape == shape, "source", f"images of {source.shape}", f"images of shape {shape}")
    whole = is_whole(neighbours) and 2 <= neighbours <= len(source)
    require(whole, "neighbours", neighbours, f"a whole number from 2 to {len(source)}, the number of images in the source")
    most = min(neighbours - 1, images[0].numel())
    kept = check_dimensions(
        16 if dimensions is None else dimensions, most, "one fewer than the neighbours, and the number of pixels"
    )
    near = _nearest(images.flatten(1), source, neighbours)
    cloud = near - near.mean(dim=1, keepdim=True)
    directions: Tensor
    _, sizes, directions = torch.linalg.svd(cloud, full_matrices=False)
    check_rank(sizes, kept, "the neighbours' spread")
    return directions[:, :kept]


def _nearest(flat: Tensor, source: ImageSet, count: int) -> Tensor:
    """The nearest images (n, count, F) of the source that differ from each of (n, F)."""
    wanted = min(count + SPARE, len(source))
    distances, places = flat.new_empty(len(flat), 0), torch.empty(len(flat), 0, dtype=torch.int64, device=flat.device)
    step = at_most(max(1, min(CHUNK, NUMBERS // flat.shape[1])), TEMPORARIES * flat[0].nbytes)
    for start in range(0, len(source), step):
        part = source.floats(slice(start, start + step), flat.device).flatten(1).to(flat.dtype)
        found = part.square().sum(dim=1) - 2 * flat @ part.mT  # less the image's own square, the same for all
        own = torch.arange(start, start + len(part), device=flat.device).expand(len(flat), -1)
        distances, places = torch.cat([distances, found], dim=1), torch.cat([places, own], dim=1)
        distances, chosen = distances.topk(min(wanted, distances.shape[1]), largest=False)
        places = places.gather(1, chosen)
    near, others = [], len(source)
    for own, row in zip(flat, places, strict=True):
        close = source.floats(row.cpu(), flat.device).flatten(1).to(flat.dtype)
        exact = (close - own).square_().sum(dim=1)
        others = min(others, int((exact > 0).sum()))
        near.append(close[exact.masked_fill(exact == 0, torch.inf).topk(count, largest=False).indices])
    require(others >= count, "neighbours", count, f"at most {others}: the source holds copies of one of the images")
    return torch.stack(near)
