"""`mask_recovery`: rank, remove, fill, look for the mask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor, nn

from gradaudit.attributions import Attribution, attribute, check_complete, kept_count, rank, rank_dtype, resolve_attribution
from gradaudit.classifiers import check_classifier, classifier_fingerprint
from gradaudit.errors import require
from gradaudit.fills import Fill
from gradaudit.images import ImageSet
from gradaudit.instruments.costs import Cost, gradient_bytes, of_workers
from gradaudit.instruments.crew import Crew, crew_of, settings_of_images
from gradaudit.instruments.mask_recovery.arguments import named_fills
from gradaudit.instruments.mask_recovery.cells import Cell, Split, bytes_of, run_cell, seconds_of
from gradaudit.instruments.mask_recovery.options import MaskRecoveryOptions
from gradaudit.instruments.mask_recovery.result import TRUE_MASK, MaskRecoveryResult, tabulate
from gradaudit.instruments.mask_recovery.verdict import judge, overall
from gradaudit.options import takes
from gradaudit.progress import Advance, progress
from gradaudit.results import versions
from gradaudit.training import Recipe
from gradaudit.training.learners import check_recipe, check_seeds, check_sets
from gradaudit.training.workers import run_all

Scores = Iterator[tuple[slice, Tensor]]
Group = tuple[str, float, str]
"""The name of a fill, or of the true mask; a level; a side."""

Descriptions = dict[Group, dict[int, dict[str, Any]]]
"""The store's key of every group's fits, by seed."""


@takes(MaskRecoveryOptions, "attribution")
def mask_recovery(classifier: nn.Module, train: ImageSet, test: ImageSet, options: MaskRecoveryOptions) -> MaskRecoveryResult:
    """Whether a fill hides which features were kept.

    For each fill, level and side a small convolutional network is trained to tell, from the filled training images, which features
    were kept; then a learner is trained to tell the label from what that network recovers, without a pixel of the image. Both are
    measured on test images. Rong et al. (2022), section 3.3 and figure 3, ask what a mask tells of the label; here it is asked of
    that part of the mask which can be seen.

    Args:
        classifier: what is audited: images in [0, 1] to logits (N, K), its normalisation inside it.
        train: images on which all networks are fitted.
        test: images on which they are measured.
        {options}

    Returns:
        A result with `table`, `verdict`, `verdicts` (`hidden`, `visible` or `partly` for each fill), `plot()` and `save(folder)`.

    Raises:
        InputError: a bad argument, before anything long begins.
        StoreError: the store can't be written; what was finished before is kept, and the same call continues.
    """
    return prepared(classifier, train, test, options).run()


def prepared(classifier: nn.Module, train: ImageSet, test: ImageSet, options: MaskRecoveryOptions) -> Grid:
    """The checked run; arguments and errors as `mask_recovery`."""
    check_sets(train, test)
    crew = crew_of(options)
    recipe, network = check_recipe(options.learner, train)
    found = resolve_attribution(options.attribution, seed=options.seed)
    require(found.scores is None, "attribution", found.name, "a spec or a function, that ranks training and test images alike")
    classifier, doubts = check_classifier(classifier, train)
    return Grid(
        classifier=classifier,
        sets={"train": train, "test": test},
        attribution=found,
        fills=named_fills(options.fills, train, options.seed, crew.device),
        recipe=recipe,
        network=network,
        seeds=check_seeds(options.seeds, options.seed),
        options=options,
        crew=crew,
        doubts=doubts,
    )


@dataclass(frozen=True, eq=False)
class Grid:
    """A checked run.

    Args:
        classifier: what is audited.
        sets: the training and the test images.
        attribution: what ranks them.
        fills: by name.
        recipe: of the learner of labels.
        network: the fingerprint of its network.
        seeds: of the fits.
        options: levels, sides, target, features, epochs, and the seed of what draws.
        crew: who fits.
        doubts: what a reader must know of the classifier.
    """

    classifier: nn.Module
    sets: dict[str, ImageSet]
    attribution: Attribution
    fills: dict[str, Fill]
    recipe: Recipe
    network: str
    seeds: tuple[int, ...]
    options: MaskRecoveryOptions
    crew: Crew
    doubts: tuple[str, ...] = ()

    def run(self) -> MaskRecoveryResult:
        """Fit what the store lacks, and put what was recovered in a table."""
        doubts = (*self.doubts, *self._incomplete())
        cells = self._cells()
        descriptions = self._descriptions(cells)
        self._fit(cells, descriptions)
        outcomes = {group: [self.crew.store.get(text) or {} for text in every.values()] for group, every in descriptions.items()}
        labels = self.sets["test"].labels
        chance = int(labels.bincount().max()) / len(labels)
        details = {"chance": chance, "doubts": list(doubts)}
        table = tabulate(outcomes, chance)
        settings = self._settings()
        verdict = overall(judge(table, details, settings))
        return MaskRecoveryResult(table, verdict, settings, details)

    def cost(self) -> Cost:
        """What the store lacks: a learner for each seed of a group, and but for the true mask a recoverer beside it."""
        cells = self._cells()
        lacking = self._lacking(self._descriptions(cells))
        if not lacking:
            return Cost()
        what = self.sets["train"], self._feature_count
        seconds = sum(seconds_of(cells[group], *what, len(every), self.crew.device) for group, every in lacking.items())
        networks = sum(len(every) * (1 if cells[group].fill is None else 2) for group, every in lacking.items())
        ranked = sum(map(len, self.sets.values()))
        workers = min(self.crew.workers, len(lacking))
        found = Cost(networks=networks, gradients=ranked, seconds=seconds / workers)
        return replace(found, memory=self._bytes(list({cells[group].fill: cells[group] for group in lacking}.values()), workers))

    def _bytes(self, cells: Sequence[Cell], workers: int) -> float:
        """Bytes at the peak: of the rankings while they are made, or of them and of all workers."""
        size = np.dtype(rank_dtype(self._feature_count)).itemsize * self._feature_count
        ranks = {part: size * len(images) for part, images in self.sets.items()}
        ranking = gradient_bytes(self.classifier, self.sets["train"], self.crew.device) + max(
            ranks.values()
        )  # in parts, and joined
        how = self.sets["train"], self.sets["test"], self._feature_count, self.crew.device
        each = max(bytes_of(cell, *how) for cell in cells)
        return sum(ranks.values()) + max(ranking, of_workers(each, workers))

    def _cells(self) -> dict[Group, Cell]:
        epochs, count = self.options.epochs, self._feature_count
        return {
            (name, level, side): Cell(fill, kept_count(level, count), side, self.recipe, epochs)
            for name, fill in {**self.fills, TRUE_MASK: None}.items()
            for level in self.options.levels
            for side in self.options.sides
        }

    @property
    def _feature_count(self) -> int:
        channels, height, width = self.sets["train"].shape
        return height * width * (channels if self.options.features == "coordinates" else 1)

    def _descriptions(self, cells: Mapping[Group, Cell]) -> Descriptions:
        return {group: {one: self._describe(cell, one) for one in self.seeds} for group, cell in cells.items()}

    def _lacking(self, descriptions: Descriptions) -> Descriptions:
        """What the store does not have."""
        lacking: Descriptions = {}
        for group, every in descriptions.items():
            found = {seed: text for seed, text in every.items() if self.crew.store.get(text) is None}
            if found:
                lacking[group] = found
        return lacking

    @cached_property
    def _shared(self) -> dict[str, Any]:
        return {
            "what": "mask_recovery",
            "classifier": classifier_fingerprint(self.classifier),
            "attribution": self.attribution.fingerprint,
            "target": self.options.target,
            "features": self.options.features,
            "ties": self.options.seed,
            "network": self.network,
            "train": self.sets["train"].fingerprint,
            "test": self.sets["test"].fingerprint,
            "device": self.crew.device.type,
            "versions": versions(),
        }

    def _describe(self, cell: Cell, seed: int) -> dict[str, Any]:
        recipe = cell.recipe.key(self.crew.device) | {"seed": seed}
        fill = {} if cell.fill is None else {"fill": cell.fill.key, "epochs": cell.epochs}
        return self._shared | fill | {"keep": cell.keep, "side": cell.side, "recipe": recipe}

    def _fit(self, cells: Mapping[Group, Cell], descriptions: Descriptions) -> None:
        """Fit what the store lacks: a group of seeds is one task, so that a costly fill is done once for all of them."""
        # Opening a stream checks the attribution and the target.
        streams = {part: self._scores(images) for part, images in self.sets.items()}
        lacking = self._lacking(descriptions)
        if not lacking:
            return
        splits = self._splits(streams)
        classes, crew = len(self.sets["train"].classes), self.crew
        tasks = ((cells[group], *splits, classes, every, crew.store, str(crew.device)) for group, every in lacking.items())
        for _ in run_all(run_cell, tasks, len(lacking), title="recovering masks", **crew.words):
            pass

    def _scores(self, images: ImageSet) -> Scores:
        return attribute(self.classifier, images, self.attribution, warn=False, **self._how)

    def _incomplete(self) -> tuple[str, ...]:
        """What must be known where the maps of test images do not add up to what the attribution promises."""
        return check_complete(self.classifier, self.sets["test"], {self.attribution.name: self.attribution}, **self._how)

    @property
    def _how(self) -> dict[str, Any]:
        return {"target": self.options.target, "seed": self.options.seed, "device": self.crew.device}

    def _splits(self, streams: Mapping[str, Scores]) -> list[Split]:
        with progress("ranking features", sum(map(len, self.sets.values())), self.crew.show_progress) as advance:
            return [self._split(images, streams[part], advance) for part, images in self.sets.items()]

    def _split(self, images: ImageSet, stream: Scores, advance: Advance) -> Split:
        parts = []
        for where, scores in stream:
            parts.append(rank(scores.cpu(), where.start, self.options.seed, self.options.features))
            advance(len(scores))
        return Split(images.images.numpy(), images.labels.numpy(), np.concatenate(parts))

    def _settings(self) -> dict[str, Any]:
        train, test = self.sets["train"], self.sets["test"]
        return {
            "attributions": [self.attribution.name],
            "fills": list(self.fills),
            "levels": list(self.options.levels),
            "sides": list(self.options.sides),
            "target": self.options.target,
            "features": self.options.features,
            "learner": self.recipe.model_dump(exclude={"seed"}),
            "epochs": self.options.epochs,
            "seeds": list(self.seeds),
            "seed": self.options.seed,
            "device": self.crew.device.type,
            "classifier": self._shared["classifier"],
            **settings_of_images(train, test),
        }
