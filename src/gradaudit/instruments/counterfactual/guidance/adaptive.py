"""DVCE's pull: towards the target class and the original, each as long as the noise that the denoiser sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.errors import require
from gradaudit.instruments.counterfactual.guidance.cone import Inside, angles, project_to_cone
from gradaudit.instruments.counterfactual.guidance.consensus import consensus
from gradaudit.instruments.counterfactual.guidance.repulsion import away_from_found
from gradaudit.instruments.counterfactual.guidance.tangent import Spaces, projection
from gradaudit.instruments.counterfactual.guidance.vectors import along, lengths, unit
from gradaudit.instruments.counterfactual.guidance.views import augmented
from gradaudit.instruments.counterfactual.guidance.walk import Point
from gradaudit.instruments.counterfactual.problem import Problem, target_log_probability

Helper = Literal["robust", "denoiser", "none"]
Join = Literal["cone", "consensus"]
Pulled = tuple[Tensor, dict[str, Tensor]]


@dataclass(frozen=True)
class Gradients:
    """Gradients (N, C, H, W): of the problem's objective, which the explained classifier has a part in, and of the robust
    classifier's log p(target), averaged over views; and of the distance to the original.

    `robust` is None where no robust classifier helps; `away`, of the distance to what was found before, where nothing repels.
    """

    explained: Tensor
    robust: Tensor | None
    distance: Tensor
    away: Tensor | None = None

    def carried(self, back: Callable[[Tensor], Tensor]) -> Gradients:
        """Each as `back` takes it."""
        robust, away = (None if one is None else back(one) for one in (self.robust, self.away))
        return Gradients(back(self.explained), robust, back(self.distance), away)


@dataclass(frozen=True)
class AdaptivePull:
    """The pull of diffusion visual counterfactuals.

    Source: Augustin, Boreiko, Croce, Hein (2022), Diffusion Visual Counterfactual Explanations, section 3.

    Args:
        problem: whose classifiers pull, and to whose images the distance is.
        class_strength: of the class's pull, against the noise.
        distance_strength: of the original's.
        p: of the distance's norm, from 1 to 2.
        cone: half its opening in degrees, used where there is a helper.
        inside: as `project_to_cone` takes it.
        views: of each image, for the classifiers.
        guidance: `"exact"`, `"combined"`, `"none"` or `"tangent"`.
        helper: `"robust"`, the robust classifier where there is one; `"denoiser"`, its class evidence at x_t; or `"none"`.
        join: with a helper, `"cone"` or `"consensus"`.
        inner_steps: gradient steps on x0_hat, each of an equal share of the pull's length.
        spaces: the tangent spaces, for that guidance.
    """

    problem: Problem
    class_strength: float = 0.3
    distance_strength: float = 0.15
    p: float = 1.0
    cone: float = 30.0
    inside: Inside = "robust"
    views: int = 1
    guidance: str = "exact"
    helper: Helper = "robust"
    join: Join = "cone"
    inner_steps: int = 1
    spaces: Spaces | None = None

    def __post_init__(self) -> None:
        require(1 <= self.p <= 2, "p", self.p, "from 1 to 2")
        require(0 <= self.cone <= 90, "cone", self.cone, "from 0 to 90 degrees")

    @property
    def through(self) -> bool:
        """Whether gradients go through the denoiser."""
        return self.guidance in ("exact", "combined")

    def __call__(self, point: Point) -> Pulled:
        """The pull on x_t, and the norms and angles behind it, which are those at x0_hat.

        Of several inner steps each has its gradients where those before it have moved x0_hat, as in Ye et al. (2024), TFG: Unified
        Training-Free Guidance for Diffusion Models, algorithm 1.
        """
        evidence = point.evidence() if self.helper == "denoiser" else None
        way = point if self.spaces is None else replace(point, back=projection(self.spaces(point.images)))
        images, parts, told = point.images, [], dict[str, Tensor]()
        for _ in range(self.inner_steps):
            whole, found = GUIDANCE[self.guidance](self, way, self.gradients(images, point.sources), evidence)
            parts.append(whole / self.inner_steps)
            images, told = images + point.reach * self.problem.within(parts[-1]), told or found
        return torch.stack(parts).sum(dim=0), told

    def gradients(self, images: Tensor, sources: list[np.random.Generator]) -> Gradients:
        """The gradients at x0_hat as images."""
        leaf = images.detach().requires_grad_()
        seen = augmented(leaf, self.views, sources)
        robust = self.problem.robust if self.helper == "robust" else None
        helper = None if robust is None else self._uphill(self._towards_target(robust, seen), leaf)
        explained, away = self._uphill(self.problem.objective(seen, self.views), leaf), away_from_found(self.problem, images)
        return Gradients(explained, helper, self._away(images), away)

    def _towards_target(self, classifier: nn.Module, seen: Tensor) -> Tensor:
        return target_log_probability(classifier, seen, self.problem.targets.repeat_interleave(self.views))

    def _uphill(self, values: Tensor, leaf: Tensor) -> Tensor:
        """The gradient of the views' mean."""
        return torch.autograd.grad(values.sum() / self.views, leaf, retain_graph=True)[0]

    def _away(self, images: Tensor) -> Tensor:
        """The gradient of the L_p distance; zero where there is none, as autograd's is not."""
        apart = images - self.problem.images
        norm = torch.linalg.vector_norm(apart.flatten(1), self.p, dim=1).clamp(min=torch.finfo(apart.dtype).tiny)
        gradient: Tensor = apart.sign() * (apart.abs() / along(norm, apart)) ** (self.p - 1)
        return gradient

    def joined(self, found: Gradients, noise: Tensor, evidence: Tensor | None) -> Pulled:
        """The gradients rescaled image by image to the noise's norm, and added; and their norms and angles.

        Args:
            found: the gradients.
            noise: that the denoiser sees.
            evidence: the denoiser's, where it helps.
        """
        helper = found.robust if evidence is None else evidence
        followed, told = (unit(found.explained), {}) if helper is None else self._helped(found.explained, helper)
        pull = self.class_strength * followed - self.distance_strength * unit(found.distance)
        pull = pull if found.away is None else pull + self.problem.repulsion * unit(found.away)
        norms = {"class_norm": lengths(found.explained), "distance_norm": lengths(found.distance)}
        return along(lengths(noise).to(noise), noise) * pull, norms | told

    def _helped(self, explained: Tensor, helper: Tensor) -> Pulled:
        before = angles(explained, helper)
        if self.join == "consensus":
            followed, kept = consensus(explained, helper, self.cone)
            told = {"consensus": kept}
        else:
            followed, told = project_to_cone(explained, helper, self.cone, inside=self.inside), {}
        return followed, {"angle_before": before, "angle_after": angles(explained, followed)} | told


def _exact(pull: AdaptivePull, point: Point, found: Gradients, evidence: Tensor | None) -> Pulled:
    """Each gradient with respect to x_t, where evidence is already: a product each through one graph of the denoiser."""
    return pull.joined(found.carried(point.back), point.noise, evidence)


def _combined(pull: AdaptivePull, point: Point, found: Gradients, evidence: Tensor | None) -> Pulled:
    """Joined at x0_hat and taken back by one product, which keeps its length: the strengths mean what they do elsewhere."""
    joined, diagnostics = pull.joined(found, point.noise, evidence)
    return along(lengths(joined).to(joined), joined) * unit(point.back(joined)), diagnostics


def _none(pull: AdaptivePull, point: Point, found: Gradients, evidence: Tensor | None) -> Pulled:
    """Joined at x0_hat and applied as it is, as manifold-preserving guidance does (He et al. 2024, algorithm 1)."""
    return pull.joined(found, point.noise, evidence)


def _tangent(pull: AdaptivePull, point: Point, found: Gradients, evidence: Tensor | None) -> Pulled:
    """Each gradient projected on the tangent space at x0_hat, and only then as long as the noise (He et al. 2024, section 4).

    `point.back` projects. What is joined is projected once more, for pixels that agree may lie off the space.
    """
    straight, _ = pull.joined(found, point.noise, evidence)
    joined, diagnostics = pull.joined(found.carried(point.back), point.noise, None if evidence is None else point.back(evidence))
    return point.back(joined), diagnostics | {"tangent_share": lengths(point.back(straight)) / lengths(straight)}


GUIDANCE: dict[str, Callable[[AdaptivePull, Point, Gradients, Tensor | None], Pulled]] = {
    "exact": _exact,
    "combined": _combined,
    "none": _none,
    "tangent": _tangent,
}
