"""The measurement: noise on the tangent space and off it, and what it does to the softmax."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gradaudit.batching import probabilities
from gradaudit.instruments.tangents import onto
from gradaudit.noise import generators, normal

DIRECTIONS = ("on", "off")


@torch.no_grad()
def changes(
    classifier: nn.Module, images: Tensor, bases: Tensor, radii: Sequence[float], samples: int, seed: int, size: int
) -> Tensor:
    """The mean L1 change of the softmax for each image, float64 (n, 2, R): on and off the manifold, at each radius.

    Args:
        classifier: images in [0, 1] to logits (n, K).
        images: floats (n, C, H, W), on the classifier's device; brought to its dtype once noise is added.
        bases: orthonormal rows (n, T, F), likewise.
        radii: L2 lengths of the noise, in pixel values of [0, 1].
        samples: draws of noise an image; the same draw serves both directions and all radii.
        seed: of the noise, which belongs to the image.
        size: images that the classifier is given at once.
    """
    before = probabilities(classifier, images)
    lengths = torch.tensor(radii, dtype=images.dtype, device=images.device).reshape(1, 1, -1, 1)
    sources = generators(images, seed)
    total = torch.zeros(len(images), 2, len(radii), dtype=torch.float64, device=images.device)
    for _ in range(samples):
        units = directions(normal(sources, images).to(images.dtype).flatten(1), bases)
        moved = images.flatten(1)[:, None, None] + lengths * units[:, :, None]
        points = moved.reshape(-1, *images.shape[1:])
        after = torch.cat([probabilities(classifier, part) for part in torch.split(points, size)])
        total += (after.reshape(*total.shape, -1) - before[:, None, None]).abs().sum(dim=3)
    return total / samples


def directions(noise: Tensor, bases: Tensor) -> Tensor:
    """Noise (n, F) projected on the tangent spaces and off them, each of length 1, (n, 2, F)."""
    on = onto(bases, noise)
    both = torch.stack([on, noise - on], dim=1)
    units: Tensor = both / torch.linalg.vector_norm(both, dim=2, keepdim=True)
    return units


def explained(images: Tensor, bases: Tensor, others: Tensor) -> Tensor:
    """The share of the way from each image to its nearest other image that lies in its tangent space, float64 (n,).

    Args:
        images: floats (n, C, H, W).
        bases: orthonormal rows (n, T, F).
        others: floats (m, F), among which the nearest is looked for; copies of an image are passed over. NaN where all are copies.
    """
    flat = images.flatten(1)
    distances = torch.cdist(flat, others, compute_mode="donot_use_mm_for_euclid_dist")
    nearest = distances.masked_fill(distances == 0, torch.inf).argmin(dim=1)
    way = others[nearest] - flat
    inside = torch.einsum("ntf,nf->nt", bases, way).square().sum(dim=1)
    return (inside / way.square().sum(dim=1)).double()
