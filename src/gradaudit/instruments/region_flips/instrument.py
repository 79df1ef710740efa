"""Flips by region as command, audit and page ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd
import torch

from gradaudit.attributions import controls_beside, named_attributions, rank
from gradaudit.classifiers import classifier_fingerprint
from gradaudit.instruments.contract import Instrument, Score
from gradaudit.instruments.costs import Cost, gradient_bytes, mapping, second_call
from gradaudit.instruments.counterfactual.differences import asks_helpers
from gradaudit.instruments.counterfactual.instrument import cost_of as cost_of_changes
from gradaudit.instruments.region_flips.audit import cell_count, region_flips, the_method
from gradaudit.instruments.region_flips.options import ABOUT, RegionFlipsInAudit, RegionFlipsOptions
from gradaudit.instruments.region_flips.result import RegionFlipsResult, independent
from gradaudit.instruments.region_flips.section import region_flips_section
from gradaudit.instruments.setup import Setup
from gradaudit.markup.gallery import gallery_of
from gradaudit.markup.pictures import Pictures
from gradaudit.markup.section import Section

CHECKS = 2  # ways forward of all images through the classifier before each cell, and one after
ARRAYS = 6  # of all images that are held while they are changed


class RegionFlips(Instrument):
    """Flips by region."""

    about = ABOUT
    results = (RegionFlipsResult,)

    def lacks(self, setup: Setup, name: str, options: RegionFlipsOptions) -> str | None:
        """Images of more than one pixel, a denoiser for a method that walks through one, and in an audit somebody to confirm."""
        if setup.test.shape[1] * setup.test.shape[2] == 1:
            return "the images have a single pixel, of which no part can be left alone"
        if isinstance(options, RegionFlipsInAudit) and not setup.oracles_for(name):
            return "it needs another classifier that confirms flips, and none was given (oracles=, --oracle)"
        return setup.unfit_denoiser if the_method(options.method).needs_denoiser else None

    def measure(self, setup: Setup, name: str, options: Any) -> RegionFlipsResult:
        """The result, with the other audited classifiers as oracles unless others were given."""
        return region_flips(
            setup.classifiers[name],
            setup.images_for(options),
            setup.oracles_for(name),
            denoiser=setup.denoiser if _asked(setup, options) else None,
            robust=setup.robust if _asked(setup, options) else None,
            **setup.keywords(options, RegionFlipsOptions),
        )

    def uses(self, setup: Setup, name: str, options: RegionFlipsOptions) -> dict[str, Any]:
        """The oracles, and the helpers where the method asks them."""
        helpers = {"denoiser": setup.denoiser_mark, "robust": setup.robust_mark} if _asked(setup, options) else {}
        return {"oracles": {title: classifier_fingerprint(one) for title, one in setup.oracles_for(name).items()}, **helpers}

    def cost(self, setup: Setup, name: str, options: Any) -> Cost:
        """The maps, and for each side, level and map a change of every image, of which all are asked."""
        images, classifier = setup.images_for(options), setup.classifiers[name]
        audited = named_attributions(options.attribution, options.seed)
        beside, _ = controls_beside(options.controls, audited, options.seed)
        maps = audited | beside
        asked = mapping(classifier, images, maps, setup.run.device)
        cells = cell_count(len(maps), options)
        changes = cost_of_changes(the_method(options.method), cells * len(images), images)
        ranking = len(images) * len(maps) * second_call(lambda: rank(torch.rand(1, *images.shape), 0, 0, "pixels"))
        held = gradient_bytes(classifier, images, setup.run.device) + ARRAYS * 4 * images.images.numel()
        judges = len(setup.oracles_for(name))
        seen = len(images) * (cells * (CHECKS + judges) + judges)
        return asked + replace(changes, forwards=seen, besides=changes.besides + ranking, memory=changes.memory + held)

    def scores(self, result: RegionFlipsResult) -> dict[str, Score]:
        """The mean over levels of the first attribution's difference in confirmed flips."""
        if not independent(result.details):
            return {}
        return {"confirmed flips, top less bottom, mean over levels": Score(*result.mean(result.audited[0]), 1)}

    def tables(self, result: RegionFlipsResult, name: str) -> list[tuple[str, pd.DataFrame]]:
        """Flips on either side, and where all of an image may change."""
        return [(f"Flips by region, {name}", result.table), (f"All of an image, {name}", result.whole)]

    def section(self, results: Mapping[str, RegionFlipsResult]) -> Section:
        """Its section."""
        return region_flips_section(results)

    def pictures(self, setup: Setup, name: str, options: RegionFlipsOptions, result: RegionFlipsResult) -> Pictures:
        """Some images with the first attribution."""
        return gallery_of(result, name, setup.classifiers[name], setup.test, options.attribution)


def _asked(setup: Setup, options: RegionFlipsOptions) -> bool:
    """Whether the method may ask the helpers, and the denoiser fits where there is one."""
    return asks_helpers(the_method(options.method)) and setup.unfit_denoiser is None


INSTRUMENT = RegionFlips()
