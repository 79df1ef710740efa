"""`diffroar`: rank, unmask, retrain, compare."""

from __future__ import annotations

import inspect
import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, ParamSpec

import numpy as np
import pandas as pd
import torch
from numpy.lib.stride_tricks import as_strided
from torch import Tensor, nn

from gradaudit.attributions import (
    CONTROLS,
    Attribution,
    Features,
    attribute,
    check_levels,
    kept_count,
    named_controls,
    rank,
    rank_dtype,
)
from gradaudit.classifiers import check_classifier, classifier_fingerprint
from gradaudit.devices import resolve_device
from gradaudit.errors import require
from gradaudit.files import fingerprint, map_array, whole_array, write_text
from gradaudit.images import ImageSet
from gradaudit.instruments.diffroar.arguments import (
    SPLITS,
    Attributed,
    check_seeds,
    check_sets,
    is_whole,
    named_attributions,
)
from gradaudit.instruments.diffroar.cells import VERSIONS, Cell, Split
from gradaudit.instruments.diffroar.grid import Job, Plan, check_recipe, predict, resolve_workers, run_jobs
from gradaudit.instruments.diffroar.result import COLUMNS, DiffROARResult, judge
from gradaudit.instruments.diffroar.statistics import image_variance, summarise
from gradaudit.progress import Advance, progress
from gradaudit.training.recipe import Recipe
from gradaudit.training.store import Store, as_store, unpacked

P = ParamSpec("P")


def prepare(
    classifier: nn.Module,
    train: ImageSet,
    test: ImageSet,
    attribution: Attributed | Sequence[Attributed] = "logit_gradient",
    *,
    learner: str | Mapping[str, Any] | Recipe = "mlp",
    levels: Sequence[float] = (0.05, 0.1, 0.2, 0.4),
    seeds: int | Sequence[int] = 5,
    controls: Sequence[str] = CONTROLS,
    features: Features = "coordinates",
    target: Literal["label", "predicted"] = "label",
    fill: Literal["zero", "mean"] = "zero",
    mask_only: bool = True,
    seed: int = 0,
    store: Store | str | os.PathLike[str] | None = None,
    workers: int | Literal["auto"] = "auto",
    device: str | torch.device = "auto",
    show_progress: bool = False,
) -> Grid:
    """A checked DiffROAR run that has not started: `plan()` predicts it, `run()` does it.

    Args:
        classifier: what is audited, as in `diffroar`.
        train: images on which the learners are fitted.
        test: images on which they are measured.
        attribution: what is audited, as in `diffroar`.
        learner: a recipe, or the network's spec for the default recipe. Its seed is replaced by each of `seeds`.
        levels: shares of the features that are kept, each in (0, 1).
        seeds: how many independent seeds, or the seeds themselves; top and bottom share a seed, so that they are paired.
        controls: model-free attributions that run beside.
        features: `"coordinates"` ranks all C*H*W values, `"pixels"` the H*W positions by the sum of magnitudes over channels.
        target: the class that is attributed: the `"label"` or the `"predicted"` one.
        fill: what replaces removed features: `"zero"`, or the training images' `"mean"` of each channel.
        mask_only: also fit learners that see only which features were kept.
        seed: of ties, controls, attributions that draw; and the first of the learners' seeds when `seeds` is a number.
        store: a folder for finished work, or a Store; the user's own unless given.
        workers: fits at once, each on one thread; `"auto"` for one a core (one on an accelerator).
        device: `"auto"` or a torch device.
        show_progress: print the plan and the time left to standard error.

    Raises:
        InputError: a bad argument.
    """
    check_sets(train, test)
    require(is_whole(seed) and seed < 2**31, "seed", seed, "a whole number, 0 or more")
    for argument, value, choices in (
        ("features", features, ("coordinates", "pixels")),
        ("target", target, ("label", "predicted")),
        ("fill", fill, ("zero", "mean")),
    ):
        require(value in choices, argument, value, " or ".join(f'"{choice}"' for choice in choices))
    place = resolve_device(device)
    audited = named_attributions(attribution, seed)
    beside = {name: dict.fromkeys(SPLITS, control) for name, control in named_controls(controls, seed).items()}
    require(not set(audited) & set(beside), "controls", list(controls), "other attributions than the audited ones")
    check_classifier(classifier, train)
    recipe, network = check_recipe(learner, train)
    return Grid(
        classifier=classifier,
        sets={"train": train, "test": test},
        attributions=audited,
        controls=beside,
        recipe=recipe,
        network=network,
        levels=check_levels(levels),
        seeds=check_seeds(seeds, seed),
        features=features,
        target=target,
        fill=fill,
        mask_only=mask_only,
        seed=seed,
        store=as_store(store),
        workers=resolve_workers(workers, place),
        device=place,
        show_progress=show_progress,
    )


def _with_arguments_of(prepare: Callable[P, Grid]) -> Callable[[Callable[..., DiffROARResult]], Callable[P, DiffROARResult]]:
    """Give a function the arguments of another, for editors, `help` and type checkers alike."""

    def dress(function: Callable[..., DiffROARResult]) -> Callable[P, DiffROARResult]:
        signature = inspect.signature(prepare).replace(return_annotation="DiffROARResult")
        function.__signature__ = signature  # type: ignore[attr-defined]
        return function

    return dress


@_with_arguments_of(prepare)
def diffroar(*arguments: Any, **options: Any) -> DiffROARResult:
    """Whether the features that an attribution ranks high carry more label information than those it ranks low.

    DiffROAR(k) is the test accuracy of a learner retrained on the top-ranked share k of the features less that of one retrained on
    the bottom-ranked share. Shah, Jain and Netrapalli (2021), section 3.

    Args:
        classifier: what is audited: images in [0, 1] to logits (N, K), its normalisation inside it.
        train: images on which the learners are fitted.
        test: images on which they are measured.
        attribution: the spec of an attribution, a function `(classifier, images, targets) -> scores`, a pair of tensors or arrays
            with the scores (N, C, H, W) of the training and test images, `{"my name": any of these}`, or a list of such.
        **options: learner, levels, seeds, controls and the rest, as `prepare` describes them.

    Returns:
        A result with `table`, `summary`, `verdict`, `plot()` and `save(folder)`.

    Raises:
        InputError: a bad argument, before anything long begins.
        StoreError: the store can't be written; what was finished before is kept, and the same call continues.
    """
    return prepare(*arguments, **options).run()


@dataclass(frozen=True, eq=False)
class Grid:
    """A DiffROAR run, checked and ready; made by `prepare`, whose arguments its fields are, and the learner's fingerprint."""

    classifier: nn.Module
    sets: dict[str, ImageSet]
    attributions: dict[str, dict[str, Attribution]]
    controls: dict[str, dict[str, Attribution]]
    recipe: Recipe
    network: str
    levels: tuple[float, ...]
    seeds: tuple[int, ...]
    features: Features
    target: str
    fill: str
    mask_only: bool
    seed: int
    store: Store
    workers: int
    device: torch.device
    show_progress: bool

    def plan(self) -> Plan:
        """How many networks will be trained and how long that takes, predicted by a few steps of the learner."""
        return predict(self._jobs(self._rankings(make=False)), **self._where())

    def run(self) -> DiffROARResult:
        """Rank, fit every cell that the store lacks, and put the accuracies in a table."""
        rankings = self._rankings(make=True)
        jobs = self._jobs(rankings)
        if self.show_progress:
            from rich.console import Console

            Console(stderr=True).print(f"DiffROAR: {predict(jobs, **self._where())}")
        outcomes = run_jobs(jobs, **self._where(), show_progress=self.show_progress)
        accuracies = {at: outcome["accuracy"] for at, outcome in outcomes.items()}
        table = self._table(accuracies)
        labels = self.sets["test"].labels
        chance = int(labels.bincount().max()) / len(labels)
        variance = self._image_variance(outcomes)
        details = {"whole": [accuracies["whole", seed] for seed in self.seeds], "chance": chance, "image_variance": variance}
        verdicts = judge(summarise(table, len(labels), variance), tuple(self.attributions), tuple(self.controls), details)
        return DiffROARResult(table, verdicts[next(iter(self.attributions))], self._settings(), details)

    @cached_property
    def _owner(self) -> str:
        return classifier_fingerprint(self.classifier)

    def _where(self) -> dict[str, Any]:
        classes = len(self.sets["train"].classes)
        return {"classes": classes, "store": self.store, "device": self.device, "workers": self.workers}

    def _jobs(self, rankings: Mapping[str, Mapping[str, _Ranking]]) -> dict[Any, Job]:
        """Every fit of the run, under the name that the table looks it up by."""
        jobs: dict[Any, Job] = {}
        splits = self._splits(rankings)
        fill = tuple(self.sets["train"].mean().tolist()) if self.fill == "mean" else ()
        for seed in self.seeds:
            recipe = self.recipe.with_(seed=seed)
            jobs["whole", seed] = self._job(Cell(0, "top", "whole", (), recipe), splits["whole"])
            for name in rankings:
                shift = self._shift(name, seed)
                for level in self.levels:
                    keep = kept_count(level, self._feature_count())
                    for side in ("top", "bottom"):
                        jobs[name, level, seed, side] = self._job(Cell(keep, side, "image", fill, recipe, shift), splits[name])
                        if self.mask_only:
                            cell = Cell(keep, side, "mask", (), recipe, shift)
                            jobs[name, level, seed, f"mask_{side}"] = self._job(cell, splits[name])
        return jobs

    def _shift(self, name: str, seed: int) -> int:
        """A random control is drawn anew for every seed, so that its interval covers the luck of the draw."""
        if name not in self.controls or self.controls[name]["train"].knows_images:
            return 0
        return int(np.random.default_rng([self.seed, seed]).integers(1 << 31))

    def _splits(self, rankings: Mapping[str, Mapping[str, _Ranking]]) -> dict[str, tuple[list[Split], list[str]]]:
        """The training and test images with each ranking, or whole, and the fingerprints of all of it."""
        # One array object for all jobs: joblib shares an array between workers, but takes each new view for another array.
        arrays = {part: (images.images.numpy(), images.labels.numpy()) for part, images in self.sets.items()}
        whole = dict.fromkeys(SPLITS, _Ranking(None, ""))
        return {
            name: (
                [Split(*arrays[part], ranking[part].ranks) for part in SPLITS],
                [text for part in SPLITS for text in (self.sets[part].fingerprint, ranking[part].fingerprint)],
            )
            for name, ranking in {"whole": whole, **rankings}.items()
        }

    def _job(self, cell: Cell, data: tuple[list[Split], list[str]]) -> Job:
        (train, test), fingerprints = data
        return Job(cell, train, test, cell.describe([self.network, *fingerprints], self.device))

    def _image_variance(self, outcomes: Mapping[Any, Mapping[str, Any]]) -> dict[str, list[float]]:
        count = len(self.sets["test"])

        def differences(name: str, level: float) -> np.ndarray:
            hits = {
                side: np.stack([unpacked(outcomes[name, level, seed, side]["correct"], count) for seed in self.seeds]).astype(int)
                for side in ("top", "bottom")
            }
            paired: np.ndarray = hits["top"] - hits["bottom"]
            return paired

        names = (*self.attributions, *self.controls)
        return {name: [image_variance(differences(name, level)) for level in self.levels] for name in names}

    def _table(self, accuracies: Mapping[Any, float]) -> pd.DataFrame:
        rows = []
        for name in (*self.attributions, *self.controls):
            for level in self.levels:
                for seed in self.seeds:
                    top, bottom, mask_top, mask_bottom = (
                        accuracies.get((name, level, seed, column), float("nan"))
                        for column in ("top", "bottom", "mask_top", "mask_bottom")
                    )
                    rows.append((name, level, seed, top, bottom, top - bottom, mask_top, mask_bottom))
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def _settings(self) -> dict[str, Any]:
        return {
            "attributions": list(self.attributions),
            "controls": list(self.controls),
            "learner": self.recipe.model_dump(exclude={"seed"}),
            "levels": list(self.levels),
            "seeds": list(self.seeds),
            "features": self.features,
            "target": self.target,
            "fill": self.fill,
            "seed": self.seed,
            "device": self.device.type,
            "classifier": self._owner,
            "classes": list(self.sets["train"].classes),
            "shape": list(self.sets["train"].shape),
            "train_images": len(self.sets["train"]),
            "test_images": len(self.sets["test"]),
            "train_fingerprint": self.sets["train"].fingerprint,
            "test_fingerprint": self.sets["test"].fingerprint,
        }

    def _feature_count(self) -> int:
        channels, height, width = self.sets["train"].shape
        return height * width * (channels if self.features == "coordinates" else 1)

    def _rankings(self, make: bool) -> dict[str, dict[str, _Ranking]]:
        every = self.attributions | self.controls
        paths = {
            (name, part): self.store.path(self._describe_ranking(every[name][part], self.sets[part]), ".npy")
            for name in every
            for part in SPLITS
        }
        found = {at: _read(path) for at, path in paths.items()}
        # Opening a stream checks its attribution: all are opened before the first, perhaps long, one is drawn from.
        streams = {at: self._scores(every[at[0]][at[1]], self.sets[at[1]]) for at in paths if found[at] is None}
        if make:
            total = sum(len(self.sets[part]) for _, part in streams)
            with progress("ranking features", total, self.show_progress and bool(streams)) as advance:
                for at, scores in streams.items():
                    self._rank(scores, len(self.sets[at[1]]), paths[at], advance)
                    found[at] = _read(paths[at])
        # For a plan, a ranking that is not made yet stands in for itself: no fit on it can be in the store.
        return {name: {part: found[name, part] or self._stand_in(name, part) for part in SPLITS} for name in every}

    def _scores(self, attribution: Attribution, images: ImageSet) -> Iterator[tuple[slice, Tensor]]:
        return attribute(self.classifier, images, attribution, target=self.target, seed=self.seed, device=self.device)

    def _rank(self, stream: Iterator[tuple[slice, Tensor]], total: int, path: Path, advance: Advance) -> None:
        count = self._feature_count()
        with whole_array(path, (total, count), rank_dtype(count)) as ranks:
            for where, scores in stream:
                ranks[where] = rank(scores.cpu(), where.start, self.seed, self.features)
                advance(len(scores))
        write_text(_beside(path), json.dumps({"fingerprint": fingerprint(map_array(path))}) + "\n")

    def _describe_ranking(self, attribution: Attribution, images: ImageSet) -> dict[str, Any]:
        described = {
            "what": "rankings",
            "attribution": attribution.fingerprint,
            "images": images.fingerprint,
            "features": self.features,
            "seed": self.seed,
            "device": self.device.type,
            **VERSIONS,
        }
        return described | ({"classifier": self._owner, "target": self.target} if attribution.needs_classifier else {})

    def _stand_in(self, name: str, part: str) -> _Ranking:
        shape = (len(self.sets[part]), self._feature_count())
        zeros = as_strided(np.zeros(1, dtype=rank_dtype(shape[1])), shape, (0, 0))  # takes no memory
        return _Ranking(zeros, f"not made: {name} {part}")


@dataclass(frozen=True)
class _Ranking:
    ranks: np.ndarray | None
    fingerprint: str


def _read(path: Path) -> _Ranking | None:
    """The ranking at `path`, or None where there is none; a damaged one counts as none, with a warning."""
    try:
        return _Ranking(map_array(path), json.loads(_beside(path).read_text(encoding="utf-8"))["fingerprint"])
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        warnings.warn(f"ignoring a damaged ranking in the store, {path}: {error}", stacklevel=2)
        return None


def _beside(path: Path) -> Path:
    return path.with_suffix(".json")
