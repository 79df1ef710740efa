"""DVCE's pull: towards the target class and the original, each as long as the noise that the denoiser sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.errors import require
from gradaudit.instruments.counterfactual.guidance.cone import Inside, angles, project_to_cone
from gradaudit.instruments.counterfactual.guidance.vectors import along, lengths, unit
from gradaudit.instruments.counterfactual.guidance.views import augmented
from gradaudit.instruments.counterfactual.guidance.walk import Point
from gradaudit.instruments.counterfactual.problem import Problem, target_log_probability

Pulled = tuple[Tensor, dict[str, Tensor]]


@dataclass(frozen=True)
class Gradients:
    """Gradients (N, C, H, W): of the classifiers' log p(target), averaged over views, and of the distance to the original.

    `robust` is None where there is no robust helper.
    """

    explained: Tensor
    robust: Tensor | None
    distance: Tensor

    def carried(self, back: Callable[[Tensor], Tensor]) -> Gradients:
        """Each as `back` takes it."""
        return Gradients(back(self.explained), None if self.robust is None else back(self.robust), back(self.distance))


@dataclass(frozen=True)
class AdaptivePull:
    """The pull of diffusion visual counterfactuals.

    Source: Augustin, Boreiko, Croce, Hein (2022), Diffusion Visual Counterfactual Explanations, section 3.

    Args:
        problem: whose classifiers pull, and to whose images the distance is.
        class_strength: of the class's pull, against the noise.
        distance_strength: of the original's.
        p: of the distance's norm, from 1 to 2.
        cone: half its opening in degrees, used where there is a robust helper.
        inside: as `project_to_cone` takes it.
        views: of each image, for the classifiers.
        guidance: `"exact"`, `"combined"` or `"none"`.
    """

    problem: Problem
    class_strength: float = 0.3
    distance_strength: float = 0.15
    p: float = 1.0
    cone: float = 30.0
    inside: Inside = "robust"
    views: int = 1
    guidance: str = "exact"

    def __post_init__(self) -> None:
        require(1 <= self.p <= 2, "p", self.p, "from 1 to 2")
        require(0 <= self.cone <= 90, "cone", self.cone, "from 0 to 90 degrees")

    @property
    def through(self) -> bool:
        """Whether gradients go through the denoiser."""
        return self.guidance != "none"

    def __call__(self, point: Point) -> Pulled:
        """The pull on x_t, and the norms and angles behind it."""
        return GUIDANCE[self.guidance](self, point, self.gradients(point.images, point.sources))

    def gradients(self, images: Tensor, sources: list[np.random.Generator]) -> Gradients:
        """The gradients at x0_hat as images."""
        leaf = images.detach().requires_grad_()
        seen = augmented(leaf, self.views, sources)
        robust = self.problem.robust
        helper = None if robust is None else self._towards_target(robust, leaf, seen)
        return Gradients(self._towards_target(self.problem.classifier, leaf, seen), helper, self._away(images))

    def _towards_target(self, classifier: nn.Module, leaf: Tensor, seen: Tensor) -> Tensor:
        targets = self.problem.targets.repeat_interleave(self.views)
        total = target_log_probability(classifier, seen, targets).sum() / self.views
        return torch.autograd.grad(total, leaf, retain_graph=True)[0]

    def _away(self, images: Tensor) -> Tensor:
        """The gradient of the L_p distance; zero where there is none, as autograd's is not."""
        apart = images - self.problem.images
        norm = torch.linalg.vector_norm(apart.flatten(1), self.p, dim=1).clamp(min=torch.finfo(apart.dtype).tiny)
        gradient: Tensor = apart.sign() * (apart.abs() / along(norm, apart)) ** (self.p - 1)
        return gradient

    def joined(self, found: Gradients, noise: Tensor) -> Pulled:
        """The gradients rescaled image by image to the noise's norm, and added; and their norms and angles."""
        followed, angle = unit(found.explained), dict[str, Tensor]()
        if found.robust is not None:
            followed = project_to_cone(found.explained, found.robust, self.cone, inside=self.inside)
            before, after = angles(found.explained, found.robust), angles(found.explained, followed)
            angle = {"angle_before": before, "angle_after": after}
        pull = self.class_strength * followed - self.distance_strength * unit(found.distance)
        norms = {"class_norm": lengths(found.explained), "distance_norm": lengths(found.distance)}
        return along(lengths(noise).to(noise), noise) * pull, norms | angle


def _exact(pull: AdaptivePull, point: Point, found: Gradients) -> Pulled:
    """Each gradient with respect to x_t: a product each through one graph of the denoiser."""
    return pull.joined(found.carried(point.back), point.noise)


def _combined(pull: AdaptivePull, point: Point, found: Gradients) -> Pulled:
    """Joined at x0_hat and taken back by one product, which keeps its length: the strengths mean what they do elsewhere."""
    joined, diagnostics = pull.joined(found, point.noise)
    return along(lengths(joined).to(joined), joined) * unit(point.back(joined)), diagnostics


def _none(pull: AdaptivePull, point: Point, found: Gradients) -> Pulled:
    """Joined at x0_hat and applied as it is, as manifold-preserving guidance does (He et al. 2024, algorithm 1)."""
    return pull.joined(found, point.noise)


GUIDANCE: dict[str, Callable[[AdaptivePull, Point, Gradients], Pulled]] = {"exact": _exact, "combined": _combined, "none": _none}
