"""Where a classifier's gradients are aligned, and with what: noise, classes, and the Bayes scores there."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from gradaudit.batching import placed
from gradaudit.classifiers import classifier_fingerprint
from gradaudit.diffusion.denoiser import Denoiser, score
from gradaudit.files import fingerprint
from gradaudit.noise import generators, normal, uniform

Draw = Callable[[Tensor], tuple[Tensor, Tensor]]
AT_ONCE = 128  # images; fixed, so that what is kept is the same bit for bit whenever it is computed
_LAST: dict[str, list[Points]] = {}  # what was kept last: fits that differ in strength or network alone share it


class Points(NamedTuple):
    """Of a batch: noise of deviation 1 (N, C, H, W), classes (N, J), and the Bayes scores' directions (N, J, C, H, W)."""

    noise: Tensor
    targets: Tensor
    directions: Tensor

    def at(self, indices: Tensor) -> Points:
        """Those of some of the images."""
        return Points(*(part[indices] for part in self))


@torch.no_grad()
def fresh_points(denoiser: Denoiser, images: Tensor, labels: Tensor, sigma: float, classes: int) -> Points:
    """New points from torch's random state."""
    noise = torch.randn_like(images)
    # No draw where the label is the only class.
    chances = torch.rand(len(images), denoiser.classes, device=images.device) if classes > 1 else None
    targets = _targets(labels, chances, classes)
    return Points(noise, targets, _directions(denoiser, images + sigma * noise, sigma, targets))


@torch.no_grad()
def kept_points(
    denoiser: Denoiser, draw: Draw, count: int, *, sigma: float, classes: int, draws: int, device: torch.device
) -> list[Points]:
    """Points of all training images, drawn `draws` times by the images' pixels and torch's seed; in half precision."""
    parts = torch.split(torch.arange(count), AT_ONCE)
    pixels = [fingerprint(*(one.cpu() for one in draw(part))) for part in parts]
    seed = torch.initial_seed()
    words = (classifier_fingerprint(denoiser), sigma, classes, draws, seed, str(device), *pixels)
    key = fingerprint(*map(str, words))
    if key not in _LAST:
        _LAST.clear()
        found = [
            [_kept(denoiser, *draw(part), sigma, classes, (seed, f"score alignment {number}")) for part in parts]
            for number in range(draws)
        ]
        _LAST[key] = [Points(*(torch.cat(one) for one in zip(*points, strict=True))) for points in found]
    return _LAST[key]


def _kept(denoiser: Denoiser, images: Tensor, labels: Tensor, sigma: float, classes: int, source: tuple[int, str]) -> Points:
    sources = generators(images, *source)
    noise = normal(sources, images).half()
    chances = uniform(sources, images.new_empty(len(images), denoiser.classes, 1, 1)).flatten(1) if classes > 1 else None
    targets = _targets(labels, chances, classes)
    return Points(noise, targets, _directions(denoiser, images + sigma * noise.to(images.dtype), sigma, targets).half())


def _targets(labels: Tensor, chances: Tensor | None, classes: int) -> Tensor:
    """The label of each image and then other classes, no class twice: (N, J)."""
    if chances is None:
        return labels[:, None]
    return chances.scatter(1, labels[:, None], 2.0).topk(classes, dim=1).indices  # chances lie below 1


def _directions(denoiser: Denoiser, points: Tensor, sigma: float, targets: Tensor) -> Tensor:
    """The Bayes scores grad log p(x | target) - grad log p(x), each divided by its largest magnitude: (N, J, C, H, W)."""
    inputs = placed(denoiser, points)
    # The difference of two scores may be far smaller than they are: never in half precision.
    with torch.autocast(points.device.type, enabled=False):
        whatever = score(denoiser, inputs, sigma)
        found = torch.stack([score(denoiser, inputs, sigma, one) - whatever for one in targets.T], dim=1)
    largest = found.abs().amax(dim=(2, 3, 4), keepdim=True)
    return (found / largest.where(largest > 0, 1.0)).to(points.dtype)
