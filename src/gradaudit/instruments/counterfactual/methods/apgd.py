"""Auto-PGD towards the target."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from gradaudit.errors import require_whole
from gradaudit.instruments.counterfactual.ascent import Place, ascend
from gradaudit.instruments.counterfactual.methods._marks import asks_nobody
from gradaudit.instruments.counterfactual.problem import Problem, Solution
from gradaudit.instruments.counterfactual.radius import resolve_radius
from gradaudit.noise import normal
from gradaudit.training.perturbations import ascent_direction, project

RADIUS = 12.0  # L2, for 224 x 224 pixels: Augustin et al. (2022)
AHEAD = 0.75  # alpha: the share of a step that is new, the rest repeats the last


@asks_nobody
def apgd(problem: Problem, *, radius: float | Literal["auto"] = "auto", steps: int = 75) -> Solution:
    """Images of high log p(target) in an L2 ball around the originals, by Auto-PGD from a random point of the sphere.

    The baseline: what an adversarial attack changes.

    Sources: Croce and Hein (2020), Reliable evaluation of adversarial robustness, algorithm 1; settings as in Augustin et al.
    (2022).

    Args:
        problem: the images, their targets and the classifier.
        radius: of the ball, in pixel values of [0, 1]; `"auto"` is 12 for 224 x 224 pixels, and times sqrt(H W) / 224 for others,
            the same mean square change a pixel.
        steps: gradient steps.

    Raises:
        InputError: an option out of its range.
    """
    require_whole("steps", steps, 1)
    size = resolve_radius(radius, problem.images, published=RADIUS, p=2)

    def inside(moved: Tensor) -> Tensor:
        return problem.framed((problem.images + project(problem.within(moved - problem.images), "l2", size)).clamp(0, 1))

    def move(place: Place) -> Tensor:
        ahead = inside(place.images + place.length * ascent_direction(problem.within(place.direction), "l2"))
        if place.first:
            return ahead
        return inside(place.images + AHEAD * (ahead - place.images) + (1 - AHEAD) * (place.images - place.before))

    start = inside(problem.images + size * ascent_direction(problem.within(normal(problem.sources(), problem.images)), "l2"))
    return ascend(problem, start, move, steps=steps, length=2 * size)
