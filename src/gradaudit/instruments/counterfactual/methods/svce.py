"""Sparse visual counterfactual explanations."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from gradaudit.errors import require, require_whole
from gradaudit.instruments.counterfactual.ascent import Place, ascend
from gradaudit.instruments.counterfactual.frank_wolfe import check_p, linear_step
from gradaudit.instruments.counterfactual.methods._marks import asks_nobody
from gradaudit.instruments.counterfactual.problem import Problem, Solution
from gradaudit.instruments.counterfactual.radius import resolve_radius
from gradaudit.noise import normal

RADIUS = 150.0  # L1.5, for 224 x 224 pixels: Augustin et al. (2022)
LENGTH = 0.75  # the first step's share of the way to the vertex


@asks_nobody
def svce(
    problem: Problem, *, radius: float | Literal["auto"] = "auto", p: float = 1.5, steps: int = 75, momentum: float = 0.9
) -> Solution:
    """Images of high log p(target) in an L_p ball around the originals, by adaptive Frank-Wolfe from a random vertex.

    Needs no denoiser and no robust helper: it is as meaningful as the explained classifier's own gradients.

    Sources: Boreiko et al. (2022), Sparse Visual Counterfactual Explanations in Image Space; settings as in
    Augustin et al. (2022).

    Args:
        problem: the images, their targets and the classifier.
        radius: of the ball, in pixel values of [0, 1]; `"auto"` is 150 for 224 x 224 pixels, and times (H W / 224^2)^(1 / p) for
            others, the same mean change a pixel.
        p: of the norm, 1 or more; smaller values change fewer pixels.
        steps: Frank-Wolfe steps.
        momentum: the share that the running mean of gradients keeps at each step, from 0 to below 1.

    Raises:
        InputError: an option out of its range.
    """
    check_p(p)
    require_whole("steps", steps, 1)
    require(isinstance(momentum, (int, float)) and 0 <= momentum < 1, "momentum", momentum, "from 0 to below 1")
    size = resolve_radius(radius, problem.images, published=RADIUS, p=p)

    def vertex(direction: Tensor) -> Tensor:
        low, high = problem.within(-problem.images), problem.within(1 - problem.images)
        return problem.framed(problem.images + linear_step(direction, size, p=p, low=low, high=high))

    def move(place: Place) -> Tensor:
        return problem.framed((place.images + place.length * (vertex(place.direction) - place.images)).clamp(0, 1))

    start = vertex(normal(problem.sources(), problem.images)).clamp(0, 1)
    return ascend(problem, start, move, steps=steps, length=LENGTH, momentum=momentum)
