"""DiffROAR by retraining, the protocol of 2021: every cell of the grid is fitted, and what its learner knows goes into a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from gradaudit.attributions import Attribution, Features, kept_count, rank
from gradaudit.fills import Fill
from gradaudit.images import ImageSet
from gradaudit.instruments.costs import Cost, mapping, second_call
from gradaudit.instruments.crew import Crew, settings_of_images
from gradaudit.instruments.diffroar.arguments import SPLITS
from gradaudit.instruments.diffroar.cells import Cell, describe, run_cells
from gradaudit.instruments.diffroar.filled_images import FilledImages
from gradaudit.instruments.diffroar.measures import ACCURACIES, ALWAYS, COLUMNS
from gradaudit.instruments.diffroar.plan import Plan, predict
from gradaudit.instruments.diffroar.rankings import Ranker, Ranking
from gradaudit.instruments.diffroar.result import DiffROARResult, judged
from gradaudit.instruments.diffroar.statistics import image_variances
from gradaudit.instruments.diffroar.unmasking import SIDES, Content, Split, Unmasking
from gradaudit.memory import memory_limit
from gradaudit.progress import tell
from gradaudit.training.recipe import Recipe
from gradaudit.training.store import unpacked
from gradaudit.usable_information import bits_free_to_ignore, bits_of_nothing, label_prior, packed_bits, unpacked_bits


@dataclass(frozen=True, eq=False)
class Compared:
    """What is compared.

    Args:
        levels: shares of the features that are kept, ascending.
        seeds: of the fits.
        features: what is ranked.
        target: the class that is attributed.
        fill: what replaces removed features.
        seed: of ties, controls, attributions, targets and fills that draw.
    """

    levels: tuple[float, ...]
    seeds: tuple[int, ...]
    features: Features
    target: str
    fill: Fill
    seed: int


@dataclass(frozen=True, eq=False)
class Learners:
    """What is fitted.

    Args:
        recipe: of every learner but for its seed.
        networks: the fingerprints of the learners' networks, by what these see.
        contents: what they see besides whole images, by the prefix of its columns.
    """

    recipe: Recipe
    networks: dict[Content, str]
    contents: dict[str, Content]


@dataclass(frozen=True, eq=False)
class Grid:
    """A DiffROAR run by retraining, checked and ready.

    Args:
        classifier: what is audited.
        sets: the training and the test images.
        attributions: the audited ones, by name for each set.
        controls: that run beside, likewise.
        compared: levels, seeds and what else makes a cell.
        learners: what is fitted on it.
        crew: who fits.
        doubts: what a reader must know of the classifier.
    """

    classifier: nn.Module
    sets: dict[str, ImageSet]
    attributions: dict[str, dict[str, Attribution]]
    controls: dict[str, dict[str, Attribution]]
    compared: Compared
    learners: Learners
    crew: Crew
    doubts: tuple[str, ...] = ()

    def plan(self) -> Plan:
        """How many networks will be trained and how long that takes, predicted by a few steps of the learner."""
        return predict(self.cells(self.rankings(make=False)), self.crew)

    def run(self) -> DiffROARResult:
        """Rank, fit every cell that the store lacks, and put what the learners know in a table."""
        with memory_limit(self.crew.memory):
            return self._result()

    def _result(self) -> DiffROARResult:
        known = self.known()
        cells = self.cells(self.rankings(make=True))
        if self.crew.show_progress:
            tell(f"DiffROAR: {predict(cells, self.crew)}")
        outcomes = self.free_to_ignore(self.fitted(cells))
        table, details = self._table(outcomes), {"doubts": list(known), **self._details(outcomes)}
        return judged(table, self.settings(), details)

    def fitted(self, cells: Mapping[Any, Cell]) -> dict[Any, dict[str, Any]]:
        """The outcome of every cell, fitted where the store lacks it."""
        return run_cells(cells, self.crew)

    def known(self) -> tuple[str, ...]:
        """What a reader must know of the classifier and of its maps; warns where these do not add up to what they promise."""
        return (*self.doubts, *self.ranker.incomplete(self.attributions))

    @cached_property
    def ranker(self) -> Ranker:
        """What ranks the features."""
        one, crew = self.compared, self.crew
        return Ranker(self.classifier, self.sets, one.features, one.target, one.seed, crew.store, crew.device)

    def rankings(self, make: bool) -> dict[str, dict[str, Ranking]]:
        """The rankings of both sets by every attribution and control; those that the store lacks are made, or stood in for."""
        return self.ranker.rankings(self.attributions | self.controls, make=make, show_progress=self.crew.show_progress)

    def ranking(self) -> Cost:
        """What the rankings of both sets take, as if the store had none."""
        return self.ranking_of("train") + self.ranking_of("test")

    def ranking_of(self, split: str) -> Cost:
        """What the rankings of one set take, as if the store had none."""
        images, one = self.sets[split], self.compared
        maps = {name: sets[split] for name, sets in (self.attributions | self.controls).items()}
        classes = len(images.classes) if one.target == "all" else 1
        ordering = second_call(lambda: rank(torch.rand(1, *images.shape), 0, 0, one.features))
        besides = Cost(besides=len(images) * len(maps) * ordering)
        return mapping(self.classifier, images, maps, self.crew.device, times=classes) + besides

    def cells(self, rankings: Mapping[str, Mapping[str, Ranking]]) -> dict[Any, Cell]:
        """Every fit of the run, under the name that the table looks it up by."""
        cells: dict[Any, Cell] = {}
        splits = self._splits(rankings)
        for seed in self.compared.seeds:
            if "" in self.learners.contents:
                cells["whole", seed] = self._cell(Unmasking(0, "top", "whole", None), seed, *splits["whole"])
            for name in rankings:
                for level in self.compared.levels:
                    for column, unmasking in self._unmaskings(name, level, seed).items():
                        cells[name, level, seed, column] = self._cell(unmasking, seed, *splits[name])
        return cells

    def _unmaskings(self, name: str, level: float, seed: int) -> dict[str, Unmasking]:
        """What the learners of one ranking, level and seed see, by the column of their accuracies."""
        keep, shift = kept_count(level, self.ranker.feature_count), self.shift(name, seed)
        return {
            f"{prefix}{side}": Unmasking(keep, side, content, None if content == "mask" else self.compared.fill, shift)
            for side in SIDES
            for prefix, content in self.learners.contents.items()
        }

    def shift(self, name: str, seed: int) -> int:
        """A random control is drawn anew for every seed, so that its interval covers the luck of the draw."""
        if name not in self.controls or self.controls[name]["train"].knows_images:
            return 0
        return int(np.random.default_rng([self.compared.seed, seed]).integers(1 << 31))

    def _splits(self, rankings: Mapping[str, Mapping[str, Ranking]]) -> dict[str, list[Split]]:
        """The training and the test images with each ranking, or whole."""
        # One array object for all cells: joblib shares an array between workers, but takes each new view for another array.
        arrays = {part: (images.images.numpy(), images.labels.numpy()) for part, images in self.sets.items()}
        whole = dict.fromkeys(SPLITS, Ranking(None, ""))
        return {
            name: [
                Split(*arrays[part], ranking[part].ranks, (self.sets[part].fingerprint, ranking[part].fingerprint))
                for part in SPLITS
            ]
            for name, ranking in {"whole": whole, **rankings}.items()
        }

    def _cell(self, unmasking: Unmasking, seed: int, train: Split, test: Split) -> Cell:
        recipe, device = self.learners.recipe.with_(seed=seed), self.crew.device
        data = [self.learners.networks[unmasking.content], *train.data, *test.data]
        filled: tuple[FilledImages, ...] = ()
        if unmasking.fill is not None and unmasking.fill.costly:
            # Shared by the learners of this seed and others that see the filled images, with the mask and without.
            seen = replace(unmasking, content="image")
            filled = tuple(FilledImages(seen, split, device) for split in (train, test))
        classes = len(self.sets["train"].classes)
        return Cell(unmasking, recipe, train, test, classes, describe(unmasking, recipe, data, device), filled)

    def free_to_ignore(self, outcomes: dict[Any, dict[str, Any]]) -> dict[Any, dict[str, Any]]:
        """The outcomes, but of a learner of image and mask the bits of one that may ignore the image."""
        free = {}
        for name, outcome in outcomes.items():
            if name[-1] in ("both_top", "both_bottom"):
                of_mask = outcomes[*name[:-1], name[-1].replace("both", "mask")]
                bits, without = (unpacked_bits(one["image_bits"]) for one in (outcome, of_mask))
                bits = bits_free_to_ignore(bits, without, name[2])
                outcome = outcome | {"bits": float(bits.mean()), "image_bits": packed_bits(bits)}
            free[name] = outcome
        return free

    def _table(self, outcomes: Mapping[Any, Mapping[str, Any]]) -> pd.DataFrame:
        rows = []
        for name in (*self.attributions, *self.controls):
            for level in self.compared.levels:
                for seed in self.compared.seeds:
                    row: dict[str, Any] = dict.fromkeys(COLUMNS, float("nan"))  # what is not measured stays so
                    row |= {"attribution": name, "level": level, "seed": seed}
                    for column in self._columns():
                        outcome = outcomes[name, level, seed, column]
                        row |= {column: outcome["accuracy"], f"bits_{column}": outcome["bits"]}
                    rows.append(row | {measure.column: float(measure.of(row)) for measure in ALWAYS})
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def _details(self, outcomes: Mapping[Any, Mapping[str, Any]]) -> dict[str, Any]:
        """What was measured once for all rankings, and what the choice of test images adds to the variance of each measure."""
        train, test = (self.sets[part].labels.numpy() for part in SPLITS)
        whole = [outcomes["whole", seed] for seed in self.compared.seeds]
        names = (*self.attributions, *self.controls)
        images = {(name, level): self._by_image(outcomes, name, level) for name in names for level in self.compared.levels}
        return {
            "whole": [outcome["accuracy"] for outcome in whole],
            "whole_bits": [outcome["bits"] for outcome in whole],
            "nothing": bits_of_nothing(label_prior(train, len(self.sets["train"].classes)), test),
            "chance": int(np.bincount(test).max()) / len(test),
            **image_variances(images, ALWAYS),
        }

    def _by_image(self, outcomes: Mapping[Any, Mapping[str, Any]], name: str, level: float) -> dict[str, np.ndarray]:
        """Accuracies and bits of each seed and test image, (S, N), by their columns."""
        count = len(self.sets["test"])
        found = {}
        for column in self._columns():
            fits = [outcomes[name, level, seed, column] for seed in self.compared.seeds]
            found[column] = np.stack([unpacked(fit["correct"], count) for fit in fits])
            found[f"bits_{column}"] = np.stack([unpacked_bits(fit["image_bits"]) for fit in fits])
        return found

    def _columns(self) -> list[str]:
        return [column for column in ACCURACIES if column.removesuffix("top").removesuffix("bottom") in self.learners.contents]

    def settings(self) -> dict[str, Any]:
        """All that decides the numbers."""
        return {
            "attributions": list(self.attributions),
            "controls": list(self.controls),
            "learner": self.learners.recipe.model_dump(exclude={"seed"}),
            "levels": list(self.compared.levels),
            "seeds": list(self.compared.seeds),
            "features": self.compared.features,
            "target": self.compared.target,
            "fill": self.compared.fill.name,
            "seed": self.compared.seed,
            "device": self.crew.device.type,
            "classifier": self.ranker.owner,
            **settings_of_images(self.sets["train"], self.sets["test"]),
        }
