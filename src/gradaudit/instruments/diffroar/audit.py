"""`diffroar`: rank, unmask, retrain, compare."""

from __future__ import annotations

import inspect
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, ParamSpec

import numpy as np
import pandas as pd
import torch
from torch import nn

from gradaudit.attributions import CONTROLS, Attribution, Features, check_levels, kept_count, named_controls
from gradaudit.classifiers import check_classifier
from gradaudit.devices import resolve_device
from gradaudit.errors import require
from gradaudit.fills import Fill, FillLike
from gradaudit.images import ImageSet
from gradaudit.instruments.diffroar.arguments import (
    SPLITS,
    Attributed,
    check_fill,
    check_images,
    named_attributions,
    resolve_contents,
)
from gradaudit.instruments.diffroar.cells import SIDES, Cell, Content, Split
from gradaudit.instruments.diffroar.fillings import Filling
from gradaudit.instruments.diffroar.grid import Plan, check_learner_of_both, predict, run_jobs
from gradaudit.instruments.diffroar.groups import Job, Together
from gradaudit.instruments.diffroar.measures import ACCURACIES, COLUMNS, MEASURES
from gradaudit.instruments.diffroar.rankings import Ranker, Ranking
from gradaudit.instruments.diffroar.result import DiffROARResult, judge
from gradaudit.instruments.diffroar.statistics import image_variance, summarise
from gradaudit.instruments.diffroar.usable_information import (
    bits_free_to_ignore,
    bits_of_nothing,
    label_prior,
    packed_bits,
    unpacked_bits,
)
from gradaudit.training.backends import Backend, BackendLike, resolve_backend
from gradaudit.training.learners import check_recipe, check_seeds, is_whole
from gradaudit.training.recipe import Recipe
from gradaudit.training.store import Store, as_store, unpacked
from gradaudit.training.together import ONE_BY_ONE, resolve_at_once, resolve_together
from gradaudit.training.workers import resolve_workers

P = ParamSpec("P")


def prepare(
    classifier: nn.Module,
    train: ImageSet,
    test: ImageSet,
    attribution: Attributed | Sequence[Attributed] = "logit_gradient",
    *,
    learner: str | Mapping[str, Any] | Recipe = "learners/fast-convnet",
    levels: Sequence[float] = (0.05, 0.1, 0.2, 0.4),
    seeds: int | Sequence[int] = 5,
    controls: Sequence[str] = CONTROLS,
    features: Features = "coordinates",
    target: Literal["label", "predicted", "random", "all"] = "label",
    fill: FillLike = "zero",
    mask_only: bool = True,
    conditional: bool | None = None,
    seed: int = 0,
    store: Store | str | os.PathLike[str] | None = None,
    workers: int | Literal["auto"] = "auto",
    together: str | Mapping[str, Any] = "auto",
    at_once: int | Literal["auto"] = "auto",
    backend: BackendLike = "local",
    device: str | torch.device = "auto",
    show_progress: bool = False,
) -> Grid:
    """A checked DiffROAR run that has not started: `plan()` predicts it, `run()` does it.

    Args:
        classifier: what is audited, as in `diffroar`.
        train: images on which the learners are fitted.
        test: images on which they are measured.
        attribution: what is audited, as in `diffroar`.
        learner: the name of a recipe, a recipe, or a network's spec for the default recipe; each of `seeds` replaces its seed.
            A learner that is too weak decides the answer: an MLP trained by SGD for few epochs reads some masks and not others
            (docs/learners.md). For images less than 8 pixels high or wide, `"mlp"`.
        levels: shares of the features that are kept, each in (0, 1).
        seeds: how many independent seeds, or the seeds themselves; top and bottom share a seed, so that they are paired.
        controls: model-free attributions that run beside.
        features: `"coordinates"` ranks all C*H*W values, `"pixels"` the H*W positions by the sum of magnitudes over channels.
        target: the class that is attributed: the `"label"` or the `"predicted"` one; or, so that the mask cannot tell which class
            was asked for, one drawn at `"random"` for each image, or `"all"`, the attribution's magnitudes summed over the classes.
        fill: what replaces removed features: a spec such as `"zero"`, `"mean"` or `"imputation(noise=0.1)"`, a function
            `(kept, mask) -> filled`, or a Fill. A costly one is computed once for each ranking, level and side, and kept in the
            store; for the random controls, which are drawn anew for every seed, once for each seed as well.
        mask_only: also fit learners that see only which features were kept.
        conditional: also fit learners that see the features and which were kept, for what the pixels tell given the mask; as
            `mask_only` unless given. With both, three times as many networks are fitted as with neither.
        seed: of ties, controls, attributions, targets and fills that draw; and the first of the learners' seeds when `seeds` is a
            number.
        store: a folder or a URL (`s3://bucket/folder`) for finished work, or a Store; the user's own unless given.
        workers: fits at once, each on one thread; `"auto"` for one a core (one on an accelerator), or as many as a cluster has room
            for.
        together: how fits train side by side on one device: the spec of a way, such as `"stacked"`, `"stacked(compile=true)"`,
            `"graphed"`, `"streams"` or `"one_by_one"`. `"auto"` times the ways on an accelerator and takes the fastest; on a CPU,
            where fits one by one repeat to the last bit, it is those. A way that can't train this learner gives way to fits one by
            one, and `plan()` says why. Outcomes of another way differ in the last digits and have keys of their own in the store;
            those of fits one by one count in every way.
        at_once: fits in a group, of ways that train several at once; `"auto"` doubles it while that trains at least 5 % more fits a
            second, memory lasts, and every worker has a group.
        backend: where fits run: `"local"`, this machine; or `"ray(address='auto')"`, a Ray cluster. It does not change the result.
        device: `"auto"` or a torch device.
        show_progress: print the plan and the time left to standard error.

    Raises:
        InputError: a bad argument.
    """
    check_images(train, test)
    require(is_whole(seed) and seed < 2**31, "seed", seed, "a whole number, 0 or more")
    for argument, value, choices in (
        ("features", features, ("coordinates", "pixels")),
        ("target", target, ("label", "predicted", "random", "all")),
    ):
        require(value in choices, argument, value, " or ".join(f'"{choice}"' for choice in choices))
    place = resolve_device(device)
    audited = named_attributions(attribution, seed)
    beside = {name: dict.fromkeys(SPLITS, control) for name, control in named_controls(controls, seed).items()}
    require(not set(audited) & set(beside), "controls", list(controls), "other attributions than the audited ones")
    check_classifier(classifier, train)
    recipe, network = check_recipe(learner, train)
    contents = resolve_contents(mask_only, conditional)
    networks = dict.fromkeys(("whole", *contents.values()), network)
    if "both" in networks:
        networks["both"] = check_learner_of_both(recipe, train, train.shape[0] if features == "coordinates" else 1)
    place_of_work = as_store(store)
    crew = resolve_backend(backend, place_of_work, place)
    return Grid(
        classifier=classifier,
        sets={"train": train, "test": test},
        attributions=audited,
        controls=beside,
        recipe=recipe,
        networks=networks,
        levels=check_levels(levels),
        seeds=check_seeds(seeds, seed),
        features=features,
        target=target,
        fill=check_fill(fill, train, seed, place),
        contents=contents,
        seed=seed,
        store=place_of_work,
        workers=resolve_workers(workers, crew),
        together=resolve_together(together, place),
        at_once=resolve_at_once(at_once),
        backend=crew,
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
    the bottom-ranked share. Shah, Jain and Netrapalli (2021), section 3. Conditional DiffROAR(k) is, in bits of usable information,
    what the kept pixels tell a learner that also knows which were kept, beyond what that alone tells it: on the top less on the
    bottom (Xu et al., ICLR 2020; Hewitt et al., EMNLP 2021, section 3).

    Args:
        classifier: what is audited: images in [0, 1] to logits (N, K), its normalisation inside it.
        train: images on which the learners are fitted.
        test: images on which they are measured.
        attribution: the spec of an attribution, a function `(classifier, images, targets) -> scores`, a pair of tensors or arrays
            with the scores (N, C, H, W) of the training and test images, `{"my name": any of these}`, or a list of such.
        **options: learner, levels, seeds, controls and the rest, as `prepare` describes them.

    Returns:
        A result with `table`, `summary`, `verdict`, `conditional_verdicts`, `plot()` and `save(folder)`.

    Raises:
        InputError: a bad argument, before anything long begins.
        StoreError: the store can't be written; what was finished before is kept, and the same call continues.
    """
    return prepare(*arguments, **options).run()


@dataclass(frozen=True, eq=False)
class Grid:
    """A DiffROAR run, checked and ready; made by `prepare`, whose arguments its fields are, brought to one form.

    `networks` holds the fingerprints of the learners' networks by what these see, `contents` that by the prefix of its columns.
    """

    classifier: nn.Module
    sets: dict[str, ImageSet]
    attributions: dict[str, dict[str, Attribution]]
    controls: dict[str, dict[str, Attribution]]
    recipe: Recipe
    networks: dict[Content, str]
    levels: tuple[float, ...]
    seeds: tuple[int, ...]
    features: Features
    target: str
    fill: Fill
    contents: dict[str, Content]
    seed: int
    store: Store
    workers: int
    together: str
    at_once: int | None
    backend: Backend
    device: torch.device
    show_progress: bool

    def plan(self) -> Plan:
        """How many networks will be trained and how long that takes, predicted by a few steps of the learner."""
        return predict(self._jobs(self._rankings(make=False)), self.store, self._together)

    def run(self) -> DiffROARResult:
        """Rank, fit every cell that the store lacks, and put what the learners know in a table."""
        jobs = self._jobs(self._rankings(make=True))
        if self.show_progress:
            from rich.console import Console

            Console(stderr=True).print(f"DiffROAR: {predict(jobs, self.store, self._together)}")
        found = run_jobs(jobs, self.store, self._together, backend=self.backend, show_progress=self.show_progress)
        outcomes = self._free_to_ignore(found)
        table, details = self._table(outcomes), self._details(outcomes)
        summary = summarise(table, len(self.sets["test"]), details)
        verdicts = judge(summary, tuple(self.attributions), tuple(self.controls), details)
        return DiffROARResult(table, verdicts[next(iter(self.attributions))], self._settings(), details)

    @cached_property
    def _ranker(self) -> Ranker:
        return Ranker(self.classifier, self.sets, self.features, self.target, self.seed, self.store, self.device)

    def _rankings(self, make: bool) -> dict[str, dict[str, Ranking]]:
        return self._ranker.rankings(self.attributions | self.controls, make=make, show_progress=self.show_progress)

    @cached_property
    def _together(self) -> Together:
        return Together(len(self.sets["train"].classes), self.device, self.workers, self.together, self.at_once)

    def _jobs(self, rankings: Mapping[str, Mapping[str, Ranking]]) -> dict[Any, Job]:
        """Every fit of the run, under the name that the table looks it up by."""
        jobs: dict[Any, Job] = {}
        splits = self._splits(rankings)
        for seed in self.seeds:
            recipe = self.recipe.with_(seed=seed)
            jobs["whole", seed] = self._job(Cell(0, "top", "whole", None, recipe), splits["whole"])
            for name in rankings:
                shift = self._shift(name, seed)
                for level in self.levels:
                    keep = kept_count(level, self._ranker.feature_count)
                    for side in SIDES:
                        for prefix, content in self.contents.items():
                            fill = None if content == "mask" else self.fill
                            cell = Cell(keep, side, content, fill, recipe, shift)
                            jobs[name, level, seed, f"{prefix}{side}"] = self._job(cell, splits[name])
        return jobs

    def _shift(self, name: str, seed: int) -> int:
        """A random control is drawn anew for every seed, so that its interval covers the luck of the draw."""
        if name not in self.controls or self.controls[name]["train"].knows_images:
            return 0
        return int(np.random.default_rng([self.seed, seed]).integers(1 << 31))

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
        description = cell.describe([self.networks[cell.content], *fingerprints], self.device)
        fillings: tuple[Filling, ...] = ()
        if cell.fill is not None and cell.fill.costly:
            # Shared by the learners of this seed and others that see the filled images, with the mask and without.
            shown = Cell(cell.keep, cell.side, "image", cell.fill, self.recipe, cell.shift)
            fillings = tuple(Filling(shown, split, texts, self.device) for split, texts in data)
        (train, _), (test, _) = data
        return Job(cell, train, test, description, fillings)

    def _free_to_ignore(self, outcomes: dict[Any, dict[str, Any]]) -> dict[Any, dict[str, Any]]:
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
            for level in self.levels:
                for seed in self.seeds:
                    row: dict[str, Any] = dict.fromkeys(COLUMNS, float("nan"))  # what is not measured stays so
                    row |= {"attribution": name, "level": level, "seed": seed}
                    for column in self._columns():
                        outcome = outcomes[name, level, seed, column]
                        row |= {column: outcome["accuracy"], f"bits_{column}": outcome["bits"]}
                    rows.append(row | {measure.column: float(measure.of(row)) for measure in MEASURES})
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def _details(self, outcomes: Mapping[Any, Mapping[str, Any]]) -> dict[str, Any]:
        """What was measured once for all rankings, and what the choice of test images adds to the variance of each measure."""
        train, test = (self.sets[part].labels.numpy() for part in SPLITS)
        whole = [outcomes["whole", seed] for seed in self.seeds]
        return {
            "whole": [outcome["accuracy"] for outcome in whole],
            "whole_bits": [outcome["bits"] for outcome in whole],
            "nothing": bits_of_nothing(label_prior(train, len(self.sets["train"].classes)), test),
            "chance": int(np.bincount(test).max()) / len(test),
            "together": dict(sorted(Counter(outcome.get("together", ONE_BY_ONE) for outcome in outcomes.values()).items())),
            **self._image_variances(outcomes),
        }

    def _image_variances(self, outcomes: Mapping[Any, Mapping[str, Any]]) -> dict[str, dict[str, list[float]]]:
        found: dict[str, dict[str, list[float]]] = {}
        for name in (*self.attributions, *self.controls):
            for level in self.levels:
                images = self._by_image(outcomes, name, level)
                for measure in MEASURES:
                    if images.keys() >= measure.weights.keys():
                        levels = found.setdefault(f"{measure.prefix}image_variance", {}).setdefault(name, [])
                        levels.append(image_variance(measure.of(images)))
        return found

    def _by_image(self, outcomes: Mapping[Any, Mapping[str, Any]], name: str, level: float) -> dict[str, np.ndarray]:
        """Accuracies and bits of each seed and test image, (S, N), by their columns."""
        count = len(self.sets["test"])
        found = {}
        for column in self._columns():
            fits = [outcomes[name, level, seed, column] for seed in self.seeds]
            found[column] = np.stack([unpacked(fit["correct"], count) for fit in fits])
            found[f"bits_{column}"] = np.stack([unpacked_bits(fit["image_bits"]) for fit in fits])
        return found

    def _columns(self) -> list[str]:
        return [column for column in ACCURACIES if column.removesuffix("top").removesuffix("bottom") in self.contents]

    def _settings(self) -> dict[str, Any]:
        return {
            "attributions": list(self.attributions),
            "controls": list(self.controls),
            "learner": self.recipe.model_dump(exclude={"seed"}),
            "levels": list(self.levels),
            "seeds": list(self.seeds),
            "features": self.features,
            "target": self.target,
            "fill": self.fill.name,
            "seed": self.seed,
            "device": self.device.type,
            "classifier": self._ranker.owner,
            "classes": list(self.sets["train"].classes),
            "shape": list(self.sets["train"].shape),
            "train_images": len(self.sets["train"]),
            "test_images": len(self.sets["test"]),
            "train_fingerprint": self.sets["train"].fingerprint,
            "test_fingerprint": self.sets["test"].fingerprint,
        }
