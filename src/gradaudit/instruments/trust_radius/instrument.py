"""The trust radius as command, audit and page ask for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from gradaudit.classifiers import class_count
from gradaudit.instruments.contract import Evidence, Instrument, Score
from gradaudit.instruments.costs import Cost, gradient_bytes, second_call
from gradaudit.instruments.setup import Setup
from gradaudit.instruments.trust_radius.audit import FORWARD, trust_radius
from gradaudit.instruments.trust_radius.options import ABOUT, TrustRadiusOptions
from gradaudit.instruments.trust_radius.result import ESTIMATES, TrustRadiusResult
from gradaudit.instruments.trust_radius.section import trust_radius_section
from gradaudit.instruments.trust_radius.surroundings import BYTES, RUNNERS, held_numbers, images_at_once
from gradaudit.markup.section import Section
from gradaudit.noise import generators, normal

BACK = 0.6  # of a gradient's time goes to its way back
DRAWN, DOUBLE = 1, 1  # passes over the noise, and over a gradient in double precision, that take the time of drawing it
INTEGRATION = 1e-3  # seconds for the probabilities of an image at a sigma


class TrustRadius(Instrument):
    """The trust radius."""

    about = ABOUT
    results = (TrustRadiusResult,)

    def measure(self, setup: Setup, name: str, options: Any) -> TrustRadiusResult:
        """The trust radius's result."""
        return trust_radius(setup.classifiers[name], setup.images_for(options), **setup.keywords(options, TrustRadiusOptions))

    def cost(self, setup: Setup, name: str, options: Any) -> Cost:
        """At each sigma the copies' ways forward, and for MMSE's copies a way back for each of some rivals more."""
        shown = setup.images_for(options)
        images = len(shown)
        rivals = min(options.classes, class_count(setup.classifiers[name], setup.test) - 1)
        backs = rivals + len(options.sigma) * 2 * options.pairs * RUNNERS
        forwards = 2 + len(options.sigma) * (options.copies + 2 * options.pairs)
        first = shown.floats([0])
        noise = second_call(lambda: normal(generators(first, 0), first))
        drawn = noise * ((DRAWN + len(options.sigma)) * (options.copies + options.pairs) + DOUBLE * backs)
        held = held_numbers(shown, options.copies, options.pairs, options.classes)
        at_once = min(images, images_at_once(held))
        classifier, device = setup.classifiers[name], setup.run.device
        return Cost(
            gradients=int(BACK * images * backs),
            forwards=images * forwards,
            besides=images * (drawn + INTEGRATION * len(options.sigma)),
            memory=at_once * held * BYTES + gradient_bytes(classifier, shown, device, FORWARD),
        )

    def scores(self, result: TrustRadiusResult) -> dict[str, Score]:
        """The radius."""
        return {"trust radius, sigma": Score(*result.radius, 1)}

    def evidence(self, result: TrustRadiusResult) -> list[Evidence]:
        """The same, where there is one."""
        score = Score(*result.radius, 1)
        return [] if math.isnan(score.value) else [Evidence("trust_radius", "", score, result.settings["images"])]

    def tables(self, result: TrustRadiusResult, name: str) -> list[tuple[str, pd.DataFrame]]:
        """What the gradient explains, the probability of keeping the class with its estimates, and their errors."""
        ends = ("", "_low", "_high")
        kept = {
            "Explained by the gradient": ["length", *(f"{one}{end}" for one in ("explained", "trusted") for end in ends)],
            "Probability of keeping the class": [*(f"p_mc{end}" for end in ends), *(f"p_{one}" for one in ESTIMATES)],
            "Errors of that probability": [f"error_{one}{end}" for one in ESTIMATES for end in ends],
        }
        return [(f"{title}, {name}", result.table.loc[:, ["sigma", *columns]]) for title, columns in kept.items()]

    def section(self, results: Mapping[str, TrustRadiusResult]) -> Section:
        """Its section."""
        return trust_radius_section(results)


INSTRUMENT = TrustRadius()
