"""DiffROAR by retraining, the protocol of 2021: every cell of the grid is fitted, and what its learner knows goes into a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from gradaudit.attributions import Attribution, Features, kept_count
from gradaudit.fills import Fill
from gradaudit.images import ImageSet
from gradaudit.instruments.crew import Crew, settings_of_images
from gradaudit.instruments.diffroar.arguments import SPLITS
from gradaudit.instruments.diffroar.cells import SIDES, Cell, Content, Split
from gradaudit.instruments.diffroar.fillings import Filling
from gradaudit.instruments.diffroar.grid import Plan, predict, run_jobs
from gradaudit.instruments.diffroar.groups import Job, Together
from gradaudit.instruments.diffroar.measures import ACCURACIES, ALWAYS, COLUMNS
from gradaudit.instruments.diffroar.rankings import Ranker, Ranking
from gradaudit.instruments.diffroar.result import DiffROARResult, judged
from gradaudit.instruments.diffroar.statistics import image_variances
from gradaudit.training.recipe import Recipe
from gradaudit.training.store import unpacked
from gradaudit.training.together import ONE_BY_ONE
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
        way: how fits train side by side.
        doubts: what a reader must know of the classifier.
    """

    classifier: nn.Module
    sets: dict[str, ImageSet]
    attributions: dict[str, dict[str, Attribution]]
    controls: dict[str, dict[str, Attribution]]
    compared: Compared
    learners: Learners
    crew: Crew
    way: Together
    doubts: tuple[str, ...] = ()

    def plan(self) -> Plan:
        """How many networks will be trained and how long that takes, predicted by a few steps of the learner."""
        return predict(self.jobs(self.rankings(make=False)), self.crew.store, self.way)

    def run(self) -> DiffROARResult:
        """Rank, fit every cell that the store lacks, and put what the learners know in a table."""
        jobs = self.jobs(self.rankings(make=True))
        if self.crew.show_progress:
            from rich.console import Console

            Console(stderr=True).print(f"DiffROAR: {predict(jobs, self.crew.store, self.way)}")
        outcomes = self.free_to_ignore(self.fitted(jobs))
        table, details = self._table(outcomes), self._details(outcomes)
        return judged(table, self.settings(), details)

    def fitted(self, jobs: Mapping[Any, Job]) -> dict[Any, dict[str, Any]]:
        """The outcome of every job, fitted where the store lacks it."""
        crew = self.crew
        return run_jobs(jobs, crew.store, self.way, backend=crew.backend, show_progress=crew.show_progress)

    @cached_property
    def ranker(self) -> Ranker:
        """What ranks the features."""
        one, crew = self.compared, self.crew
        return Ranker(self.classifier, self.sets, one.features, one.target, one.seed, crew.store, crew.device)

    def rankings(self, make: bool) -> dict[str, dict[str, Ranking]]:
        """The rankings of both sets by every attribution and control; those that the store lacks are made, or stood in for."""
        return self.ranker.rankings(self.attributions | self.controls, make=make, show_progress=self.crew.show_progress)

    def jobs(self, rankings: Mapping[str, Mapping[str, Ranking]]) -> dict[Any, Job]:
        """Every fit of the run, under the name that the table looks it up by."""
        jobs: dict[Any, Job] = {}
        splits = self._splits(rankings)
        for seed in self.compared.seeds:
            recipe = self.learners.recipe.with_(seed=seed)
            if "" in self.learners.contents:
                jobs["whole", seed] = self._job(Cell(0, "top", "whole", None, recipe), splits["whole"])
            for name in rankings:
                shift = self.shift(name, seed)
                for level in self.compared.levels:
                    keep = kept_count(level, self.ranker.feature_count)
                    for side in SIDES:
                        for prefix, content in self.learners.contents.items():
                            fill = None if content == "mask" else self.compared.fill
                            cell = Cell(keep, side, content, fill, recipe, shift)
                            jobs[name, level, seed, f"{prefix}{side}"] = self._job(cell, splits[name])
        return jobs

    def shift(self, name: str, seed: int) -> int:
        """A random control is drawn anew for every seed, so that its interval covers the luck of the draw."""
        if name not in self.controls or self.controls[name]["train"].knows_images:
            return 0
        return int(np.random.default_rng([self.compared.seed, seed]).integers(1 << 31))

    def _splits(self, rankings: Mapping[str, Mapping[str, Ranking]]) -> dict[str, list[tuple[Split, tuple[str, str]]]]:
        """The training and test images with each ranking, or whole, and the fingerprints of both."""
        # One array object for all jobs: joblib shares an array between workers, but takes each new view for another array.
        arrays = {part: (images.images.numpy(), images.labels.numpy()) for part, images in self.sets.items()}
        whole = dict.fromkeys(SPLITS, Ranking(None, ""))
        return {
            name: [
                (Split(*arrays[part], ranking[part].ranks), (self.sets[part].fingerprint, ranking[part].fingerprint))
                for part in SPLITS
            ]
            for name, ranking in {"whole": whole, **rankings}.items()
        }

    def _job(self, cell: Cell, data: list[tuple[Split, tuple[str, str]]]) -> Job:
        fingerprints = [text for _, texts in data for text in texts]
        description = cell.describe([self.learners.networks[cell.content], *fingerprints], self.crew.device)
        fillings: tuple[Filling, ...] = ()
        if cell.fill is not None and cell.fill.costly:
            # Shared by the learners of this seed and others that see the filled images, with the mask and without.
            shown = Cell(cell.keep, cell.side, "image", cell.fill, self.learners.recipe, cell.shift)
            fillings = tuple(Filling(shown, split, texts, self.crew.device) for split, texts in data)
        (train, _), (test, _) = data
        return Job(cell, train, test, description, fillings)

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
            "doubts": list(self.doubts),
            "whole": [outcome["accuracy"] for outcome in whole],
            "whole_bits": [outcome["bits"] for outcome in whole],
            "nothing": bits_of_nothing(label_prior(train, len(self.sets["train"].classes)), test),
            "chance": int(np.bincount(test).max()) / len(test),
            "together": dict(sorted(Counter(outcome.get("together", ONE_BY_ONE) for outcome in outcomes.values()).items())),
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
