"""Robustness as command, audit and page ask for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from gradaudit.errors import require
from gradaudit.images import ImageSet
from gradaudit.instruments.contract import Evidence, Instrument, Score
from gradaudit.instruments.costs import Cost, gradient_bytes, second_call
from gradaudit.instruments.robustness.attack_checks import CHECKED, UNBOUNDED_STEPS
from gradaudit.instruments.robustness.audit import robustness
from gradaudit.instruments.robustness.methods import WORST, check_reaches, resolve_methods
from gradaudit.instruments.robustness.options import ABOUT, RobustnessCommand, RobustnessOptions
from gradaudit.instruments.robustness.outcomes import GROUP
from gradaudit.instruments.robustness.result import RobustnessResult
from gradaudit.instruments.robustness.section import robustness_section
from gradaudit.instruments.setup import Setup
from gradaudit.markup.section import Section
from gradaudit.noise import generators
from gradaudit.training.perturbations import ascent_direction, uniform_in_ball

HELD = 3  # arrays of a group of images that are held at once

GREY = {"linf": (0.0, 0.1, 0.2, 0.3), "l2": (0.0, 0.5, 1.0, 2.0)}
PLANTED = {"norm": "l2", "eps": 1.0}  # how planted classifiers were attacked
COLOUR = {"linf": (0.0, 1 / 255, 2 / 255, 4 / 255, 8 / 255), "l2": (0.0, 0.25, 0.5, 1.0)}


class Robustness(Instrument):
    """Robustness."""

    about = ABOUT
    results = (RobustnessResult,)

    def drawn(self, images: ImageSet, count: int, options: RobustnessCommand, seed: int) -> ImageSet:
        """A stratified draw, or the first of the images in their order."""
        if not options.first:
            return super().drawn(images, count, options, seed)
        require(1 <= count <= len(images), "--test-images", count, f"from 1 to {len(images)}, the number of images")
        return images[:count]

    def lacks(self, setup: Setup, name: str, options: RobustnessOptions) -> str | None:
        """Nothing is needed but images; a radius that none of them has is refused now, and not after the instruments before."""
        radii(setup.test, options)
        return None

    def measure(self, setup: Setup, name: str, options: Any) -> RobustnessResult:
        """Robustness's result."""
        images = setup.images_for(options)
        words = setup.keywords(options, RobustnessOptions) | {"eps": radii(images, options)}
        return robustness(setup.classifiers[name], images, **words)

    def cost(self, setup: Setup, name: str, options: Any) -> Cost:
        """PGD's steps, and those of the checks; another attack counts as much again for each of its own steps.

        Checks are counted as if the classifier gave all images their label, and no attack left any: what is left costs more.
        """
        images = setup.images_for(options)
        attacks = len(options.attack) if isinstance(options.attack, (list, tuple)) else 1
        above = sum(1 for eps in radii(images, options) if eps > 0)
        checked = min(CHECKED, len(images))
        attacked = len(images) * options.steps * options.restarts * above * attacks
        classifier, device = setup.classifiers[name], setup.run.device
        noise, step = _beside_a_step(images)
        gradients = options.eot * (attacked + checked * (UNBOUNDED_STEPS + 1))
        return Cost(
            gradients=gradients,
            forwards=len(images) * (1 + above * attacks) + 3 * checked,
            besides=gradients * step + len(images) * above * attacks * noise,
            memory=working_bytes(classifier, images, device),
        )

    def scores(self, result: RobustnessResult) -> dict[str, Score]:
        """The accuracy under the strongest attacks at the middle radius."""
        name = WORST if WORST in result.rows else result.rows[0]
        eps = [radius for radius in result.settings["eps"] if radius > 0]
        if not eps:
            return {}
        middle = eps[len(eps) // 2]
        row = result.table[(result.table["attack"] == name) & (result.table["eps"] == middle)].iloc[0]
        return {f"accuracy under {name}, eps {middle:.4g}": Score.of(row, 1, "accuracy")}

    def evidence(self, result: RobustnessResult) -> list[Evidence]:
        """The accuracy at the radius at which planted classifiers were attacked, where that was measured."""
        rows = result.table[(result.table["norm"] == PLANTED["norm"]) & (result.table["eps"] == PLANTED["eps"])]
        strongest = rows.sort_values("accuracy", kind="stable").head(1).to_dict("records")
        return [Evidence("robustness", "", Score.of(row, 1, "accuracy"), result.settings["images"]) for row in strongest]

    def section(self, results: Mapping[str, RobustnessResult]) -> Section:
        """Its section."""
        return robustness_section(results)


def _beside_a_step(images: ImageSet) -> tuple[float, float]:
    """Seconds for the start of an image, and for a step's way within its ball."""
    one = torch.rand(1, *images.shape)
    start = second_call(lambda: uniform_in_ball(one, "linf", 0.01, generators(one, 0)))
    return start, second_call(lambda: (one + ascent_direction(one, "linf")).clamp(0, 1).sub(one).clamp(-1, 1))


def working_bytes(classifier: nn.Module, images: ImageSet, device: torch.device) -> float:
    """Bytes at the peak: a batch's gradients, and the arrays of a group of images."""
    return gradient_bytes(classifier, images, device) + HELD * 4 * images.images[0].numel() * min(len(images), GROUP)


def radii(images: ImageSet, options: RobustnessOptions) -> Sequence[float]:
    """The radii: those given, or those usual for the norm and for small grey images or for colour.

    Raises:
        InputError: no two such images are as far apart as the largest; or an attack that is none.
    """
    usual = GREY if images.shape[0] == 1 else COLOUR
    found = usual[options.norm] if options.eps is None else options.eps
    check_reaches(resolve_methods(options.attack, norm=options.norm), found[-1], images.shape)
    return found


INSTRUMENT = Robustness()
