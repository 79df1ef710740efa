"""What every method of making counterfactuals is given, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.diffusion import Denoiser


@dataclass(frozen=True)
class Against:
    """Another classifier, which is to see what it saw while the explained one changes its mind.

    Args:
        classifier: in evaluation mode with constant weights, on the images' device.
        classes: int64 (N,), the class that it gives each original, whatever the label.
    """

    classifier: nn.Module
    classes: Tensor

    def of(self, rows: list[int], device: torch.device) -> Against:
        """The same for these images alone, on the device."""
        return Against(self.classifier, self.classes[rows].to(device))


@dataclass(frozen=True)
class Problem:
    """Some images, checked and in one batch, with what is to change them.

    Args:
        classifier: what is explained, in evaluation mode with constant weights, on the images' device.
        images: float32 (N, C, H, W) in [0, 1].
        targets: int64 (N,), the class wanted for each image.
        keys: a random key for each image, from the seed and the image alone, so that its batch changes nothing.
        denoiser: of such images; None where there is none.
        robust: a classifier of the same classes whose gradients are trusted to lie along the data, in evaluation mode, or None.
        region: boolean (N, 1, H, W), True where an image may change; None where all of it may. A method that does not heed it
            gets the originals' pixels back outside.
        found: counterfactuals of each image and target that were found before, float32 (N, S, C, H, W), NaN where one failed; None
            where nothing repels.
        repulsion: how strongly these repel a new one, as a share of the noise's length.
        against: the classifier that is to keep its class, or None. A method that ascends `objective` heeds it.
    """

    classifier: nn.Module
    images: Tensor
    targets: Tensor
    keys: tuple[int, ...]
    denoiser: Denoiser | None = None
    robust: nn.Module | None = None
    region: Tensor | None = None
    found: Tensor | None = None
    repulsion: float = 0.0
    against: Against | None = None

    def objective(self, images: Tensor, views: int = 1) -> Tensor:
        """What is to become large, (N * views,): log p(target) of the explained classifier; against another, plus log p of the
        class that this keeps.

        Images about which two classifiers disagree are the idea of Augustin, Neuhaus and Hein (2024), DiG-IN; they steer Stable
        Diffusion to them, and by another objective.

        Args:
            images: (N * views, C, H, W), an image's views together.
            views: of each image.
        """
        return self.log_probabilities(images, views).sum(dim=1)

    def log_probabilities(self, images: Tensor, views: int = 1) -> Tensor:
        """The terms of `objective`, (N * views, 1) or, against another classifier, (N * views, 2)."""
        terms = [target_log_probability(self.classifier, images, self.targets.repeat_interleave(views))]
        if self.against is not None:
            classes = self.against.classes.repeat_interleave(views)
            terms.append(target_log_probability(self.against.classifier, images, classes))
        return torch.stack(terms, dim=1)

    def within(self, change: Tensor) -> Tensor:
        """A change (N, C, H, W) with zeros where an image must not change."""
        return change if self.region is None else change * self.region

    def framed(self, changed: Tensor) -> Tensor:
        """Changed images (N, C, H, W) with the originals' pixels, bit for bit, where an image must not change."""
        return changed if self.region is None else torch.where(self.region, changed, self.images)

    def sources(self, stream: int = 0) -> list[np.random.Generator]:
        """A new random generator for each image, the same each time; of another stream, independent ones."""
        return [np.random.Generator(np.random.Philox(counter=stream << 192, key=key)) for key in self.keys]


@dataclass(frozen=True)
class Solution:
    """The counterfactuals of a problem's images, and how they came about.

    Args:
        images: float32 (N, C, H, W) in [0, 1].
        steps: diagnostics by name, each float32 (N, S), NaN where a step has none: `confidence` (the explained classifier's in the
            target), `distance` (L1 to the original, summed over coordinates), `class_norm` and `distance_norm` (Euclidean, before
            any rescaling), `confidence_kept` (against another classifier, its confidence in the class that it is to keep),
            `angle_before` and `angle_after` (degrees, between the explained classifier's gradient and the robust one's, and
            between the explained classifier's gradient and the direction that was followed), `tangent_share` (of the pull's
            length, that which lies along the manifold). A method gives those that it has.
        frames: uint8 (N, T, C, H, W), the way there, at most 24 frames evenly spaced, the last one being the counterfactual.
        failed: for each image None, or why it has no counterfactual: its row of `images` is then the original.
    """

    images: Tensor
    steps: dict[str, Tensor] = field(default_factory=dict)
    frames: Tensor | None = None
    failed: tuple[str | None, ...] = ()


def confidences(log_probabilities: Tensor) -> dict[str, Tensor]:
    """The diagnostics that the terms of a problem's objective, (N, 1) or (N, 2), give: (N,) each."""
    return dict(zip(("confidence", "confidence_kept"), log_probabilities.exp().unbind(dim=1), strict=False))


def target_log_probability(classifier: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """log p(target | image), (N,), in float32, or float64 where the logits are."""
    logits: Tensor = classifier(images)
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return torch.log_softmax(exact, dim=1).gather(1, targets[:, None]).squeeze(1)
