"""Everything of a batch at the same points: gradients, scores, and how alike they are, with the controls beside them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.attributions.edges import edges
from gradaudit.batching import halving, placed
from gradaudit.diffusion import Denoiser, score
from gradaudit.images import ImageSet
from gradaudit.instruments.alignment.methods import Methods, returned
from gradaudit.instruments.alignment.rows import EDGES, RANDOM, Row, other_image
from gradaudit.noise import generators, image_keys, normal
from gradaudit.progress import progress


class Batch(NamedTuple):
    """Images (n, C, H, W) with noise of deviation 1 for the points, other noise for the control, and targets (n,)."""

    images: Tensor
    noise: Tensor
    random: Tensor
    targets: Tensor


@dataclass(frozen=True, eq=False)
class AlignmentInputs:
    """Classifier, denoiser and images, and what is compared.

    Args:
        classifier: on `device`, frozen.
        denoiser: on `device`, in evaluation mode.
        images: all images.
        gradients: functions by name; scores and similarities likewise.
        scores: see `gradients`.
        similarities: see `gradients`.
        noise: `"matched"` to take all at the image plus noise of the score's sigma, `"none"` at the image itself.
        target: the class of gradients and scores: `"label"` or `"predicted"`.
        seed: of the noise.
        device: where all is computed.
    """

    classifier: nn.Module
    denoiser: Denoiser
    images: ImageSet
    gradients: Methods
    scores: Methods
    similarities: Methods
    noise: str
    target: str
    seed: int
    device: torch.device

    def batch(self, which: Tensor) -> Batch:
        """The images at these indices; their noise belongs to them, whatever is beside them."""
        images = self.images.floats(which)
        sources = generators(images, self.seed)
        # Drawn one after the other: at noisy points the score points against the noise, so a control must have its own.
        noise, random = (normal(sources, images).to(self.device) for _ in range(2))
        images = images.to(self.device)
        return Batch(images, noise, random, self._targets(images, self.images.labels[which]))

    def points(self, batch: Batch, sigma: float) -> Tensor:
        """Where gradients and scores are taken, (n, C, H, W); not clamped."""
        return batch.images + sigma * batch.noise if self.noise == "matched" else batch.images

    def gradients_at(self, points: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Each gradient (n, C, H, W) at the points."""
        shape = tuple(points.shape)
        return {
            name: returned("gradient", name, function(self.classifier, points, targets), shape)
            for name, function in self.gradients.items()
        }

    @torch.no_grad()
    def scores_at(self, points: Tensor, sigma: float, targets: Tensor) -> dict[str, Tensor]:
        """Each score (n, C, H, W) at the points, of the data with noise of that sigma."""
        shape = tuple(points.shape)
        points = _as_precise(points, self.denoiser)
        once = functools.cache(lambda labels: score(self.denoiser, points, sigma, labels))
        return {name: returned("score", name, function(once, targets), shape) for name, function in self.scores.items()}

    def similarity(self, name: str, gradients: Tensor, scores: Tensor) -> Tensor:
        """The values (n,) of a similarity."""
        return returned("similarity", name, self.similarities[name](gradients, scores), (len(scores),))

    @torch.no_grad()
    def _targets(self, images: Tensor, labels: Tensor) -> Tensor:
        if self.target == "label":
            return labels.to(self.device)
        found: Tensor = self.classifier(placed(self.classifier, images)).argmax(dim=1)
        return found


class Maps(NamedTuple):
    """What maps are: gradients or scores, their name, and the sigma of the points."""

    kind: str
    name: str
    sigma: float


class PerImage(NamedTuple):
    """For each row of the table its images' values (N,), and for all maps their largest magnitudes (N,)."""

    values: dict[Row, np.ndarray]
    magnitudes: dict[Maps, np.ndarray]


def measure(inputs: AlignmentInputs, sigmas: Sequence[float], batch_size: int, show_progress: bool) -> PerImage:
    """What is measured at all images, in the images' order."""
    count = len(inputs.images)
    order = _order(inputs)

    def work(part: slice) -> PerImage:
        # One image more: the gradient of the next in the order is the control of each.
        return _compared(inputs, sigmas, inputs.batch(order[torch.arange(part.start, part.stop + 1) % count]))

    done = []
    with progress("alignment", count, show_progress) as advance:
        for part, found in halving(work, count, batch_size):
            done.append(found)
            advance(part.stop - part.start)
    back = order.argsort().numpy()
    values = {row: np.concatenate([one.values[row] for one in done])[back] for row in done[0].values}
    return PerImage(values, {maps: np.concatenate([one.magnitudes[maps] for one in done])[back] for maps in done[0].magnitudes})


def _compared(inputs: AlignmentInputs, sigmas: Sequence[float], batch: Batch) -> PerImage:
    """What is measured at all images but the last, which is there for its gradient."""
    count = len(batch.images) - 1
    measured = PerImage({}, {})
    gradients: dict[str, Tensor] = {}
    for sigma in sigmas:
        points = inputs.points(batch, sigma)
        if not gradients or inputs.noise == "matched":
            gradients = inputs.gradients_at(points, batch.targets)
        scores = inputs.scores_at(points[:count], sigma, batch.targets[:count])
        for kind, group in (("gradient", gradients), ("score", scores)):
            measured.magnitudes.update({Maps(kind, name, sigma): _magnitudes(maps[:count]) for name, maps in group.items()})
        for name, maps in _with_controls(gradients, batch).items():
            for score_name, score_maps in scores.items():
                for similarity in inputs.similarities:
                    found = inputs.similarity(similarity, maps, score_maps).double().cpu().numpy()
                    measured.values[Row(name, score_name, sigma, similarity)] = found
    return measured


def _magnitudes(maps: Tensor) -> np.ndarray:
    found: np.ndarray = maps.abs().amax(dim=(1, 2, 3)).double().cpu().numpy()
    return found


def _with_controls(gradients: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
    audited = {name: maps[:-1] for name, maps in gradients.items()}
    fixed = {RANDOM: batch.random[:-1], EDGES: edges(None, batch.images[:-1], None)}
    return audited | {other_image(name): maps[1:] for name, maps in gradients.items()} | fixed


def _as_precise(points: Tensor, denoiser: Denoiser) -> Tensor:
    """The points in double where the denoiser is: two scores may differ by less than single precision resolves."""
    weights = (*denoiser.parameters(), *denoiser.buffers())
    return points.double() if any(weight.dtype == torch.float64 for weight in weights) else points


def _order(inputs: AlignmentInputs) -> Tensor:
    """The images' indices in an order that their pixels and the seed decide, so that an image's control is always the same."""
    total = len(inputs.images)
    parts = (slice(start, start + 1024) for start in range(0, total, 1024))
    keys = [key for part in parts for key in image_keys(inputs.images.floats(part), inputs.seed)]
    return torch.tensor(sorted(range(total), key=keys.__getitem__))
