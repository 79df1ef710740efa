"""Blended diffusion's pull: the gradient of one weighted loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gradaudit.errors import require, require_whole
from gradaudit.instruments.counterfactual.guidance.perceptual import perceptual_distances
from gradaudit.instruments.counterfactual.guidance.repulsion import away_from_found
from gradaudit.instruments.counterfactual.guidance.vectors import along, lengths, unit
from gradaudit.instruments.counterfactual.guidance.views import augmented
from gradaudit.instruments.counterfactual.guidance.walk import Point
from gradaudit.instruments.counterfactual.problem import Problem

PUBLISHED = 3 * 256 * 256  # coordinates of the images that the strengths were chosen for


@dataclass(frozen=True)
class LossPull:
    """The pull of blended diffusion: less the gradient, with respect to x_t, of a weighted sum of losses of x0_hat.

    Source: Avrahami, Lischinski, Fried (2022), Blended Diffusion for Text-driven Editing of Natural Images, section 4, with a
    classifier's log p(target) in the place of CLIP's.

    Args:
        problem: whose classifier pulls, and to whose images the distances are.
        class_strength: of -log p(target).
        l2_strength: of the mean squared distance to the original.
        range_strength: of the mean squared distance to [-1, 1].
        lpips_strength: of LPIPS to the original.
        network: LPIPS's, a module; None where that has no strength.
        views: of each image, for the classifier.
    """

    problem: Problem
    class_strength: float = 25.0
    l2_strength: float = 10000.0
    range_strength: float = 50.0
    lpips_strength: float = 0.0
    network: nn.Module | None = None
    views: int = 1

    def __post_init__(self) -> None:
        for name in ("class_strength", "l2_strength", "range_strength", "lpips_strength"):
            value = getattr(self, name)
            require(0 <= value < float("inf"), name, value, "a finite number, at least 0")
        require_whole("views", self.views, 1)

    @property
    def through(self) -> bool:
        """Gradients go through the denoiser."""
        return True

    def __call__(self, point: Point) -> tuple[Tensor, dict[str, Tensor]]:
        """The pull on x_t, and the norms of its two parts at x0_hat."""
        leaf = point.images.detach().requires_grad_()
        gains = self.problem.objective(augmented(leaf, self.views, point.sources), self.views).sum() / self.views
        (towards,) = torch.autograd.grad(gains, leaf, retain_graph=True)
        (away,) = torch.autograd.grad(self._losses(leaf).sum(), leaf)
        pull = point.back(self.class_strength * towards - away) + self._from_found(point)
        return pull, {"class_norm": lengths(towards), "distance_norm": lengths(away)}

    def _from_found(self, point: Point) -> Tensor:
        """Away from what was found before, at a share of the noise's length, for no strength of a loss is known beforehand."""
        away = away_from_found(self.problem, point.images)
        if away is None:
            return torch.zeros_like(point.images)
        return along(self.problem.repulsion * lengths(point.noise).to(away), away) * unit(point.back(away))

    def _losses(self, images: Tensor) -> Tensor:
        """The weighted distances of each image, (N,), in pixel values from -1 to 1."""
        # Means over coordinates, whose gradients a smaller image feels more: brought to the size the strengths were chosen for.
        size = images.shape[1:].numel() / PUBLISHED
        apart = 2 * (images - self.problem.images)
        outside = 2 * (images - images.clamp(0, 1))
        losses = self.l2_strength * apart.square() + self.range_strength * outside.square()
        total: Tensor = size * losses.flatten(1).mean(dim=1)
        if self.network is not None:
            total = total + size * self.lpips_strength * perceptual_distances(self.network, images, self.problem.images)
        return total
