"""Fidelity as command, audit and page ask for it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd
import torch

from gradaudit.attributions import controls_beside, named_attributions, rank
from gradaudit.devices import seeded
from gradaudit.fills import Fill
from gradaudit.images import ImageSet
from gradaudit.instruments.contract import Evidence, Instrument, Score
from gradaudit.instruments.costs import Cost, forward_bytes, mapping, second_call
from gradaudit.instruments.fidelity.asking import filled_at_once
from gradaudit.instruments.fidelity.audit import at_once, cell_count, fidelity, fine_tunings, resolve_fills
from gradaudit.instruments.fidelity.finetuning import read_recipe
from gradaudit.instruments.fidelity.options import ABOUT, FidelityOptions
from gradaudit.instruments.fidelity.result import FidelityResult
from gradaudit.instruments.fidelity.section import fidelity_section
from gradaudit.instruments.fidelity.verdict import deciding
from gradaudit.instruments.setup import Setup
from gradaudit.markup.gallery import gallery_of
from gradaudit.markup.pictures import Pictures
from gradaudit.markup.section import Section

FILLED = 11  # arrays of the images that are filled at once
RANK = 4  # bytes of a rank at most
PLANTED = 0.1  # the share of the features at which planted maps were asked
FEW = 8  # images that are filled to see how long it takes


class Fidelity(Instrument):
    """Fidelity."""

    about = ABOUT
    results = (FidelityResult,)

    def lacks(self, setup: Setup, name: str, options: FidelityOptions) -> str | None:
        """Images of more than one pixel."""
        if setup.test.shape[1] * setup.test.shape[2] > 1:
            return None
        return "the images have a single pixel, of which no part can be kept"

    def measure(self, setup: Setup, name: str, options: Any) -> FidelityResult:
        """Fidelity's result; the fill has the training images' statistics."""
        words = setup.keywords(options, FidelityOptions) | {"reference": setup.train}
        return fidelity(setup.classifiers[name], setup.images_for(options), **words)

    def uses(self, setup: Setup, name: str, options: FidelityOptions) -> dict[str, Any]:
        """The fills, by their keys, which hold what they use of the training images; and what a copy is fine-tuned on, and how."""
        fills = {"fills": [fill.key for fill in _fills(setup, options).values()]}
        if options.finetuned is None:
            return fills
        recipe = read_recipe(options.finetuned, setup.run.seed)
        return fills | {"train": setup.train.fingerprint, "recipe": recipe.key(setup.run.device)}

    def cost(self, setup: Setup, name: str, options: Any) -> Cost:
        """A gradient an image for each attribution, the ways forward, the fills, by their time on a few images; and the copies."""
        images, fills = setup.images_for(options), _fills(setup, options)
        audited = named_attributions(options.attribution, options.seed)
        beside, _ = controls_beside(options.controls, audited, options.seed)
        classifier, maps = setup.classifiers[name], audited | beside
        asked = mapping(classifier, images, maps, setup.run.device)
        cells = cell_count(1, len(maps), options, images.shape)
        filling = sum(_seconds(fill, images, setup.run.device, deciding([*options.levels])) for fill in fills.values())
        ranking = len(images) * len(maps) * second_call(lambda: rank(torch.rand(1, *images.shape), 0, 0, options.features))
        part, features = min(len(images), filled_at_once(images)), images.images[0].numel()
        ranks = len(images) * features // (1 if options.features == "coordinates" else images.shape[0]) * RANK
        shown = FILLED * 4 * features * part + forward_bytes(classifier, images, setup.run.device, at_once(images))
        asking = Cost(
            forwards=len(images) * (1 + cells * len(fills)),
            besides=cells * len(images) * filling + ranking,
            memory=max(shown, asked.memory) + ranks,
        )
        given = replace(options, reference=setup.train, seed=setup.run.seed)
        trainings = fine_tunings(setup.classifiers[name].to(setup.run.device), images, fills, given, setup.run.device)
        files = {one.file(setup.run.store): one for one in trainings.values()}
        pending = {file.stem: one for file, one in files.items() if not setup.run.store.fetch(file).exists()}
        seconds = sum(one.seconds for one in pending.values())
        memory = max((one.working_bytes for one in pending.values()), default=0.0)
        tuning = Cost(frozenset(pending), seconds=seconds, memory=memory)
        found = asked + asking + tuning
        return replace(found, memory=found.memory + sum(one.copy_bytes for one in trainings.values()))

    def scores(self, result: FidelityResult) -> dict[str, Score]:
        """The mean over levels of the first attribution's fidelity."""
        return {"fidelity, mean over levels": Score(*result.mean(result.audited[0]), 1)}

    def evidence(self, result: FidelityResult) -> list[Evidence]:
        """Fidelity at a tenth of the features, under each fill."""
        rows = result.table[result.table["attribution"].isin(result.audited) & (result.table["level"] == PLANTED)]
        return [
            Evidence(f"fidelity_{row['fill']}", row["attribution"], Score.of(row, 1, "fidelity"), result.settings["images"])
            for row in rows.to_dict("records")
        ]

    def tables(self, result: FidelityResult, name: str) -> list[tuple[str, pd.DataFrame]]:
        """Fidelity by level, the two orders of removal, and single patches."""
        found = [(f"Fidelity, {name}", result.table), (f"Orders of removal, {name}", result.orders)]
        patched = result.single_patches
        return [*found, (f"Single patches, {name}", patched)] if len(patched) else found

    def section(self, results: Mapping[str, FidelityResult]) -> Section:
        """Its section."""
        return fidelity_section(results)

    def pictures(self, setup: Setup, name: str, options: FidelityOptions, result: FidelityResult) -> Pictures:
        """Some images with the first attribution."""
        return gallery_of(result, name, setup.classifiers[name], setup.test, options.attribution)


def _fills(setup: Setup, options: FidelityOptions) -> dict[str, Fill]:
    return resolve_fills(options.fill, setup.train, setup.run.seed, setup.run.device)


@torch.no_grad()
def _seconds(fill: Fill, images: ImageSet, device: torch.device, level: float) -> float:
    """What it takes to fill an image of which a share is left, measured on a few."""
    few = images.floats(slice(0, FEW), device)
    kept = torch.rand(few[:, :1].shape, generator=torch.Generator().manual_seed(0)).to(device) < level
    with seeded(0, device):
        start = time.perf_counter()
        fill(few, kept)
        return (time.perf_counter() - start) / len(few)


INSTRUMENT = Fidelity()
