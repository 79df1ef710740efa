"""Manifold robustness as command, audit and page ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd
from torch import nn

from gradaudit.errors import require
from gradaudit.images import ImageSet
from gradaudit.instruments.contract import Evidence, Instrument, Score
from gradaudit.instruments.costs import Cost, forward_bytes, second_call
from gradaudit.instruments.manifold_robustness.arguments import PAPER_RADII
from gradaudit.instruments.manifold_robustness.audit import OTHERS, batches, manifold_robustness
from gradaudit.instruments.manifold_robustness.measure import DIRECTIONS
from gradaudit.instruments.manifold_robustness.options import (
    ABOUT,
    ManifoldRobustnessCommand,
    ManifoldRobustnessInAudit,
    ManifoldRobustnessOptions,
)
from gradaudit.instruments.manifold_robustness.result import ManifoldRobustnessResult
from gradaudit.instruments.manifold_robustness.section import manifold_robustness_section
from gradaudit.instruments.setup import Setup
from gradaudit.instruments.tangents import EXPECTED, read_tangents
from gradaudit.markup.section import Section
from gradaudit.noise import generators, normal

MOVED = 3  # arrays of moved images that are held at once

FEWEST = 200  # training images among which neighbours are looked for


class ManifoldRobustness(Instrument):
    """Manifold robustness."""

    about = ABOUT
    results = (ManifoldRobustnessResult,)

    def commanded(
        self, setup: Setup, options: ManifoldRobustnessCommand, words: Mapping[str, Any]
    ) -> tuple[Setup, ManifoldRobustnessCommand]:
        """What knows the manifold is read; a denoiser that is named becomes the setup's, which has none."""
        tangents = read_tangents("--tangents", options.tangents, words["allow_pickle"])
        require(not tangents.needs_denoiser, "--tangents", tangents.text, EXPECTED)
        if tangents.kind == "denoiser":
            setup, tangents = replace(setup, denoiser=tangents.source(setup.denoiser, setup.train)), replace(tangents, name=None)
        return setup, replace(options, tangents=tangents)

    def lacks(self, setup: Setup, name: str, options: Any) -> str | None:
        """Something is needed that knows the data manifold; in an audit, it must know it well enough."""
        tangents = read_tangents("tangents", options.tangents)
        few = isinstance(options, ManifoldRobustnessInAudit) and len(setup.train) < FEWEST
        if tangents.kind == "neighbours" and few:
            return (
                f"tangent spaces by neighbours need {FEWEST} training images or more, and there are {len(setup.train)}; "
                "an autoencoder or a denoiser would do"
            )
        if tangents.needs_denoiser and setup.denoiser is None:
            return "its tangent spaces are to come from a denoiser, and none was given (denoiser=, --denoiser)"
        return None

    def measure(self, setup: Setup, name: str, options: Any) -> ManifoldRobustnessResult:
        """Manifold robustness's result; `tangents` says what knows the manifold."""
        tangents = read_tangents("tangents", options.tangents)
        images, words = setup.images_for(options), setup.keywords(options, ManifoldRobustnessOptions)
        result = manifold_robustness(setup.classifiers[name], images, tangents.spaces(setup), **words)
        return replace(result, settings=result.settings | {"tangents": tangents.text})

    def uses(self, setup: Setup, name: str, options: ManifoldRobustnessInAudit) -> dict[str, Any]:
        """What knows the manifold; a file or a model that is named is among the options."""
        tangents = read_tangents("tangents", options.tangents)
        if tangents.needs_denoiser:
            return {"denoiser": setup.denoiser_mark}
        return {"train": setup.train.fingerprint} if tangents.kind == "neighbours" else {}

    def cost(self, setup: Setup, name: str, options: Any) -> Cost:
        """Tangent spaces; and both directions of every draw at every radius, by passes forward."""
        images, radii = setup.images_for(options), len(options.radius or PAPER_RADII)
        read = read_tangents("tangents", options.tangents)
        return read.cost(len(images), setup) + moving(setup.classifiers[name], images, setup, 2 * radii, options.samples)

    def scores(self, result: ManifoldRobustnessResult) -> dict[str, Score]:
        """The ratio of the changes on and off the manifold, over all radii."""
        return {"relative off-manifold robustness": Score(*result.ratio(), 1)}

    def evidence(self, result: ManifoldRobustnessResult) -> list[Evidence]:
        """The same."""
        return [Evidence("manifold_robustness", "", Score(*result.ratio(), 1), result.settings["images"])]

    def section(self, results: Mapping[str, ManifoldRobustnessResult]) -> Section:
        """Its section."""
        return manifold_robustness_section(results)

    def tables(self, result: ManifoldRobustnessResult, name: str) -> list[tuple[str, pd.DataFrame]]:
        """A row a radius: both changes, and their ratio."""
        parts = [result.ratios().rename(columns={"ratio": "on / off"}).set_index("radius")]
        for direction in reversed(DIRECTIONS):
            rows = result.table[result.table["direction"] == direction].set_index("radius")[["change", "low", "high"]]
            parts.insert(0, rows.set_axis([f"change {direction}", f"{direction} low", f"{direction} high"], axis=1))
        return [(f"Manifold robustness, {name}", pd.concat(parts, axis=1).reset_index())]


def moving(classifier: nn.Module, images: ImageSet, setup: Setup, variants: int, samples: int) -> Cost:
    """What is asked of the classifier at images that are moved so many ways, so many times; and the noise."""
    count, features = len(images), images.images[0].numel()
    at_once, size = batches("auto", classifier, images, setup.run.device, variants)
    points = 4 * features * (MOVED * variants * min(at_once, count) + min(count, OTHERS))
    asked = forward_bytes(classifier, images, setup.run.device, size, variants)
    noise = second_call(lambda: normal(generators(images.floats([0]), 0), images.floats([0])))
    return Cost(forwards=count * (1 + variants * samples), besides=count * samples * variants * noise, memory=points + asked)


INSTRUMENT = ManifoldRobustness()
