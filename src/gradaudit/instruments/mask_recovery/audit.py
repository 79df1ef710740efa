"""`mask_recovery`: rank, remove, fill, look for the mask."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.attributions import (
    Attribution,
    AttributionLike,
    Features,
    attribute,
    check_levels,
    kept_count,
    rank,
    resolve_attribution,
)
from gradaudit.classifiers import check_classifier, classifier_fingerprint
from gradaudit.devices import resolve_device, resolve_precision
from gradaudit.errors import require
from gradaudit.fills import Fill, FillLike
from gradaudit.images import ImageSet, shared_images
from gradaudit.instruments.mask_recovery.arguments import check_sides, named_fills
from gradaudit.instruments.mask_recovery.cells import Cell, Split, run_cell
from gradaudit.instruments.mask_recovery.result import TRUE_MASK, MaskRecoveryResult, tabulate
from gradaudit.instruments.mask_recovery.verdict import judge, overall
from gradaudit.progress import Advance, progress
from gradaudit.results import versions
from gradaudit.training import Recipe, Store
from gradaudit.training.backends import Backend, BackendLike, resolve_backend
from gradaudit.training.learners import check_recipe, check_seeds, check_sets, is_whole
from gradaudit.training.store import as_store
from gradaudit.training.workers import resolve_workers, run_all

Scores = Iterator[tuple[slice, Tensor]]
Group = tuple[str, float, str]
"""The name of a fill, or of the true mask; a level; a side."""

Descriptions = dict[Group, dict[int, dict[str, Any]]]
"""The store's key of every group's fits, by seed."""


def mask_recovery(
    classifier: nn.Module,
    train: ImageSet,
    test: ImageSet,
    attribution: AttributionLike = "logit_gradient",
    *,
    fills: FillLike | Sequence[FillLike] = ("zero", "mean", "noise", "blur", "imputation"),
    levels: Sequence[float] = (0.1,),
    sides: str | Sequence[str] = ("top", "bottom"),
    target: str = "label",
    features: Features = "pixels",
    learner: str | Mapping[str, Any] | Recipe = "mlp",
    epochs: int = 4,
    seeds: int | Sequence[int] = 2,
    seed: int = 0,
    store: Store | str | os.PathLike[str] | None = None,
    workers: int | Literal["auto"] = "auto",
    backend: BackendLike = "local",
    device: str | torch.device = "auto",
    show_progress: bool = False,
) -> MaskRecoveryResult:
    """Whether a fill hides which features were kept, and what the label is worth of that which it does not hide.

    For each fill, level and side a small convolutional network is trained to tell, from the filled training images, which features
    were kept; then a learner is trained to tell the label from what that network recovers, without a pixel of the image. Both are
    measured on test images. Rong et al. (2022), section 3.3 and figure 3, ask what a mask tells of the label; here it is asked of
    that part of the mask which can be seen.

    Args:
        classifier: what is audited: images in [0, 1] to logits (N, K), its normalisation inside it.
        train: images on which all networks are fitted.
        test: images on which they are measured.
        attribution: what ranks the features: a spec, or a function `(classifier, images, targets) -> scores`.
        fills: one fill or several, as `resolve_fill` takes them.
        levels: shares of the features that are kept, each in (0, 1).
        sides: which are kept: the highest-ranked, `"top"`, the lowest-ranked, `"bottom"`, or each in turn.
        target: the class that is attributed, as `attribute` takes it: `"label"`, `"predicted"`, ...
        features: `"pixels"` ranks the H*W positions by the sum of magnitudes over channels, `"coordinates"` all C*H*W values.
        learner: of labels: a recipe, or the network's spec for the default recipe. Its seed is replaced by each of `seeds`.
        epochs: passes over the training images of the network that recovers masks.
        seeds: how many independent seeds, or the seeds themselves.
        seed: of ties, of what draws, and the first of the seeds when `seeds` is a number.
        store: a folder or a URL (`s3://bucket/folder`) for finished work, or a Store; the user's own unless given.
        workers: fits at once, each on one thread; `"auto"` for one a core (one on an accelerator), or as many as a cluster has room
            for.
        backend: where fits run, as `ga.diffroar` takes it. It does not change the result.
        device: `"auto"` or a torch device.
        show_progress: print the time left to standard error.

    Returns:
        A result with `table`, `verdict`, `verdicts` (`hidden`, `visible` or `partly` for each fill), `plot()` and `save(folder)`.

    Raises:
        InputError: a bad argument, before anything long begins.
        StoreError: the store can't be written; what was finished before is kept, and the same call continues.
    """
    check_sets(train, test)
    require(is_whole(seed) and seed < 2**31, "seed", seed, "a whole number, 0 or more")
    require(is_whole(epochs) and epochs >= 1, "epochs", epochs, "a whole number, 1 or more")
    require(features in ("coordinates", "pixels"), "features", features, '"coordinates" or "pixels"')
    place = resolve_device(device)
    recipe, network = check_recipe(learner, train)
    found = resolve_attribution(attribution, seed=seed)
    require(found.scores is None, "attribution", found.name, "a spec or a function, that ranks training and test images alike")
    classifier, doubts = check_classifier(classifier, train)
    kept = as_store(store)
    crew = resolve_backend(backend, kept, place)
    result = Grid(
        classifier=classifier,
        sets={"train": train, "test": test},
        attribution=found,
        fills=named_fills(fills, train, seed, place),
        levels=check_levels(levels),
        sides=check_sides(sides),
        target=target,
        features=features,
        recipe=recipe,
        network=network,
        epochs=epochs,
        seeds=check_seeds(seeds, seed),
        seed=seed,
        store=kept,
        workers=resolve_workers(workers, crew),
        backend=crew,
        device=place,
        show_progress=show_progress,
    ).run()
    return dataclasses.replace(result, verdict=result.verdict.with_caveats(doubts))


@dataclass(frozen=True, eq=False)
class Grid:
    """A checked run; its fields are the arguments of `mask_recovery`, and the fingerprint of the learner's network."""

    classifier: nn.Module
    sets: dict[str, ImageSet]
    attribution: Attribution
    fills: dict[str, Fill]
    levels: tuple[float, ...]
    sides: tuple[str, ...]
    target: str
    features: Features
    recipe: Recipe
    network: str
    epochs: int
    seeds: tuple[int, ...]
    seed: int
    store: Store
    workers: int
    backend: Backend
    device: torch.device
    show_progress: bool

    def run(self) -> MaskRecoveryResult:
        """Fit what the store lacks, and put what was recovered in a table."""
        cells = self._cells()
        descriptions = {group: {one: self._describe(cell, one) for one in self.seeds} for group, cell in cells.items()}
        self._fit(cells, descriptions)
        outcomes = {group: [self.store.get(text) or {} for text in every.values()] for group, every in descriptions.items()}
        labels = self.sets["test"].labels
        details = {"chance": int(labels.bincount().max()) / len(labels)}
        table = tabulate(outcomes, details["chance"])
        settings = self._settings()
        return MaskRecoveryResult(table, overall(judge(table, details["chance"], settings)), settings, details)

    def _cells(self) -> dict[Group, Cell]:
        channels, height, width = self.sets["train"].shape
        count = height * width * (channels if self.features == "coordinates" else 1)
        return {
            (name, level, side): Cell(fill, kept_count(level, count), side, self.recipe, self.epochs)
            for name, fill in {**self.fills, TRUE_MASK: None}.items()
            for level in self.levels
            for side in self.sides
        }

    @cached_property
    def _shared(self) -> dict[str, Any]:
        return {
            "what": "mask_recovery",
            "classifier": classifier_fingerprint(self.classifier),
            "attribution": self.attribution.fingerprint,
            "target": self.target,
            "features": self.features,
            "ties": self.seed,
            "network": self.network,
            "train": self.sets["train"].fingerprint,
            "test": self.sets["test"].fingerprint,
            "device": self.device.type,
            "versions": versions(),
        }

    def _describe(self, cell: Cell, seed: int) -> dict[str, Any]:
        recipe = cell.recipe.with_(seed=seed).model_dump() | {"precision": resolve_precision(cell.recipe.precision, self.device)}
        fill = {} if cell.fill is None else {"fill": cell.fill.key, "epochs": cell.epochs}
        return self._shared | fill | {"keep": cell.keep, "side": cell.side, "recipe": recipe}

    def _fit(self, cells: Mapping[Group, Cell], descriptions: Descriptions) -> None:
        """Fit what the store lacks: a group of seeds is one task, so that a costly fill is done once for all of them."""
        # Opening a stream checks the attribution and the target.
        streams = {part: self._scores(images) for part, images in self.sets.items()}
        lacking = {group: _lacking(every, self.store) for group, every in descriptions.items()}
        pending = [group for group, every in lacking.items() if every]
        if not pending:
            return
        splits = self._splits(streams)
        classes, place = len(self.sets["train"].classes), str(self.device)
        tasks = ((cells[group], *splits, classes, lacking[group], self.store, place) for group in pending)
        how: dict[str, Any] = {"backend": self.backend, "workers": self.workers, "show_progress": self.show_progress}
        for _ in run_all(run_cell, tasks, len(pending), title="recovering masks", **how):
            pass

    def _scores(self, images: ImageSet) -> Scores:
        return attribute(self.classifier, images, self.attribution, target=self.target, seed=self.seed, device=self.device)

    def _splits(self, streams: Mapping[str, Scores]) -> list[Split]:
        with progress("ranking features", sum(map(len, self.sets.values())), self.show_progress) as advance:
            return [self._split(images, streams[part], advance) for part, images in self.sets.items()]

    def _split(self, images: ImageSet, stream: Scores, advance: Advance) -> Split:
        parts = []
        for where, scores in stream:
            parts.append(rank(scores.cpu(), where.start, self.seed, self.features))
            advance(len(scores))
        return Split(images.images.numpy(), images.labels.numpy(), np.concatenate(parts))

    def _settings(self) -> dict[str, Any]:
        train, test = self.sets["train"], self.sets["test"]
        return {
            "attributions": [self.attribution.name],
            "fills": list(self.fills),
            "levels": list(self.levels),
            "sides": list(self.sides),
            "target": self.target,
            "features": self.features,
            "learner": self.recipe.model_dump(exclude={"seed"}),
            "epochs": self.epochs,
            "seeds": list(self.seeds),
            "seed": self.seed,
            "device": self.device.type,
            "classifier": self._shared["classifier"],
            "classes": list(train.classes),
            "shape": list(train.shape),
            "train_images": len(train),
            "test_images": len(test),
            "shared_images": shared_images(train, test),
            "train_fingerprint": train.fingerprint,
            "test_fingerprint": test.fingerprint,
        }


def _lacking(every: Mapping[int, dict[str, Any]], store: Store) -> dict[int, dict[str, Any]]:
    return {seed: text for seed, text in every.items() if store.get(text) is None}
