"""DiffROAR of values: one evaluator reads every ranking, level and side."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch

from gradaudit.attributions import kept_count, named_controls
from gradaudit.devices import one_thread
from gradaudit.evaluator import EvaluatorSpec, EvaluatorTraining, PoolRanking, untrained
from gradaudit.instruments.costs import Cost, of_workers
from gradaudit.instruments.diffroar.arguments import SPLITS
from gradaudit.instruments.diffroar.measures import COLUMNS, MEASURES, VALUES
from gradaudit.instruments.diffroar.plan import Plan
from gradaudit.instruments.diffroar.rankings import Ranking
from gradaudit.instruments.diffroar.reading import Reading, read_all, train_evaluator
from gradaudit.instruments.diffroar.result import DiffROARResult, judged
from gradaudit.instruments.diffroar.retraining import Compared, Grid
from gradaudit.instruments.diffroar.statistics import image_variance, image_variances, interval
from gradaudit.instruments.diffroar.unmasking import SIDES
from gradaudit.memory import memory_limit
from gradaudit.progress import tell
from gradaudit.training.store import key_of, unpacked
from gradaudit.training.workers import run_all
from gradaudit.usable_information import bits_of_nothing, label_prior, unpacked_bits

EVALUATOR, GAP = "evaluator", "gap"
LOWEST = 0.02  # share of the features that every evaluator reads, so that runs at different levels share theirs
STEPS = 6  # of a training that is timed
READ_AT_ONCE = 256  # images whose reading is timed


@dataclass(frozen=True, eq=False)
class Values:
    """A DiffROAR run by evaluators, checked and ready.

    Args:
        grid: what is ranked, how and where; and the learners of mask and pixels by which bits of selection are measured, where they
            are asked for.
        spec: how an evaluator is made.
        masks: the rankings by name whose masks, shown on training images, are among the evaluator's; where None, those of the test
            images by the audited attributions and by the controls that see images.
        gap: how many of the evaluators are compared with networks trained for one level of random masks alone.
    """

    grid: Grid
    spec: EvaluatorSpec
    masks: Mapping[str, PoolRanking] | None
    gap: int

    @property
    def compared(self) -> Compared:
        """What is compared."""
        return self.grid.compared

    def plan(self) -> Plan:
        """How many networks will be trained and how long that and the reading take, predicted by a few steps."""
        trainings = self.trainings(self.rankings(make=False))
        found = self._missing(trainings)
        rounds = -(-len(found) // self.grid.crew.workers)
        total, pending = len(trainings), frozenset(found)
        each = max((one.working_bytes() for one in [*found.values()][:1]), default=0.0)
        memory = of_workers(each, self.grid.crew.workers)
        reading = self._seconds_to_read(next(iter(trainings.values()))) / min(self.grid.crew.workers, len(self.compared.seeds))
        seconds = reading + (next(iter(found.values())).seconds(STEPS) * rounds if found else 0.0)
        if not self._selects:
            return Plan(total, total - len(found), seconds, self.grid.crew.workers, pending=pending, reading=reading, memory=memory)
        more = self.grid.plan()
        both = (total + more.networks, total - len(found) + more.stored, seconds + more.seconds)
        return Plan(*both, self.grid.crew.workers, more.to_fill, pending | more.pending, reading, max(memory, more.memory))

    def run(self) -> DiffROARResult:
        """Rank, train the evaluators that the store lacks, read, and put what the pixels tell in a table."""
        with memory_limit(self.grid.crew.memory):
            return self._result()

    def _result(self) -> DiffROARResult:
        if self.grid.crew.show_progress:
            tell(f"DiffROAR: {self.plan()}")
        known = self.grid.known()
        rankings = self.rankings(make=True)
        trainings = self.trainings(rankings)
        missing = self._missing(trainings)
        crew = self.grid.crew
        tasks = ((training, crew.store) for training in missing.values())
        for _ in run_all(train_evaluator, tasks, len(missing), title="training evaluators", **crew.words):
            pass
        outcomes = self._read(trainings, rankings)
        selected = self._selected(rankings)
        table, details = self._table(outcomes, selected), {"doubts": list(known), **self._details(outcomes, selected)}
        return judged(table, self._settings(), details)

    def rankings(self, make: bool) -> dict[str, dict[str, Ranking]]:
        """Rankings of the test images; of the training images as well where learners are fitted on them."""
        grid = self.grid
        given = grid.attributions | grid.controls
        wanted = {name: {part: one for part, one in given[name].items() if part == "test" or self._selects} for name in given}
        return grid.ranker.rankings(wanted, make=make, show_progress=grid.crew.show_progress)

    @property
    def pool(self) -> tuple[str, ...]:
        """The audited attributions, and the controls that see images."""
        seeing = (name for name, one in self.grid.controls.items() if one["test"].knows_images)
        return (*self.grid.attributions, *seeing)

    def own_masks(self, *, make: bool) -> dict[str, PoolRanking]:
        """The rankings of the test images by the attributions of `pool`, for the evaluators of this run and of others beside it."""
        given = self.grid.attributions | self.grid.controls
        wanted = {name: {"test": given[name]["test"]} for name in self.pool}
        found = self.grid.ranker.rankings(wanted, make=make, show_progress=self.grid.crew.show_progress)
        return self._shown(found)

    def _shown(self, rankings: Mapping[str, Mapping[str, Ranking]]) -> dict[str, PoolRanking]:
        own = {name: rankings[name]["test"] for name in self.pool}
        return {name: PoolRanking(one.ranks, one.fingerprint) for name, one in own.items() if one.ranks is not None}

    def trainings(self, rankings: Mapping[str, Mapping[str, Ranking]]) -> dict[tuple[Any, ...], EvaluatorTraining]:
        """The evaluators by seed, and the networks that a gap is measured by, by level and seed."""
        masks = self._shown(rankings) if self.masks is None else self.masks
        by_value = {one.fingerprint: one for one in masks.values()}
        shown = tuple(by_value[key] for key in sorted(by_value))  # classifiers that are audited together share their evaluators
        grid = self.grid
        lowest = min(LOWEST, *self.compared.levels)

        def training(seed: int, only: float | None = None) -> EvaluatorTraining:
            seen = () if only is not None else shown
            what = self.compared.features, self.compared.fill
            return EvaluatorTraining(self.spec, grid.sets["train"], *what, lowest, seen, seed, grid.crew.device, only)

        found: dict[tuple[Any, ...], EvaluatorTraining] = {(EVALUATOR, seed): training(seed) for seed in self.compared.seeds}
        for level in self.gap_levels:
            found |= {(GAP, level, seed): training(seed, level) for seed in self.compared.seeds[: self.gap]}
        return found

    @property
    def gap_levels(self) -> tuple[float, ...]:
        """The lowest level and one in the middle."""
        levels = self.compared.levels
        return tuple(dict.fromkeys((levels[0], levels[len(levels) // 2]))) if self.gap else ()

    @property
    def _selects(self) -> bool:
        return bool(self.grid.learners.contents)

    @property
    def _names(self) -> tuple[str, ...]:
        return (*self.grid.attributions, *self.grid.controls)

    def _missing(self, trainings: Mapping[Any, EvaluatorTraining]) -> dict[str, EvaluatorTraining]:
        store = self.grid.crew.store
        by_key = {key_of(training.description): training for training in trainings.values()}
        return {key: one for key, one in by_key.items() if not store.fetch(one.file(store)).exists()}

    def _readings(
        self, trainings: Mapping[Any, EvaluatorTraining], rankings: Mapping[str, Mapping[str, Ranking]]
    ) -> Iterator[tuple[EvaluatorTraining, dict[Any, Reading]]]:
        """What each network is to read, in parts that go to workers, by the names that tables look it up by."""
        count, grid = self.grid.ranker.feature_count, self.grid
        for seed in self.compared.seeds:
            yield trainings[EVALUATOR, seed], {("whole", seed): Reading(None, "", count, "top")}
            for name in self._names:
                test, shift = rankings[name]["test"], grid.shift(name, seed)
                yield (
                    trainings[EVALUATOR, seed],
                    {
                        (name, level, seed, side): Reading(test.ranks, test.fingerprint, kept_count(level, count), side, shift)
                        for level in self.compared.levels
                        for side in SIDES
                    },
                )
        blind = self._random_rankings()
        for level in self.gap_levels:
            for seed in self.compared.seeds[: self.gap]:
                reading = Reading(blind.ranks, blind.fingerprint, kept_count(level, count), "top")
                yield trainings[EVALUATOR, seed], {(EVALUATOR, level, seed): reading}
                yield trainings[GAP, level, seed], {(GAP, level, seed): reading}

    def _random_rankings(self) -> Ranking:
        if not self.gap:
            return Ranking(None, "")
        control = named_controls(("random",), self.compared.seed)
        found = self.grid.ranker.rankings({name: dict.fromkeys(SPLITS, one) for name, one in control.items()}, make=True)
        return found["random"]["test"]

    def _read(
        self, trainings: Mapping[Any, EvaluatorTraining], rankings: Mapping[str, Mapping[str, Ranking]]
    ) -> dict[Any, dict[str, Any]]:
        test, crew = self.grid.sets["test"], self.grid.crew
        store = crew.store
        parts = list(self._readings(trainings, rankings))
        keys = {
            name: reading.describe(training, test.fingerprint) for training, readings in parts for name, reading in readings.items()
        }
        found = {key_of(key): store.get(key) for key in keys.values()}
        missing = [part for part in parts if any(found[key_of(keys[name])] is None for name in part[1])]
        tasks = (
            (training, test, list(readings.values()), [keys[name] for name in readings], store) for training, readings in missing
        )
        for outcomes in run_all(read_all, tasks, len(missing), title="reading kept pixels", **crew.words):
            found |= outcomes
        read = {name: found[key_of(key)] for name, key in keys.items()}
        return {name: outcome for name, outcome in read.items() if outcome is not None}

    def _selected(self, rankings: Mapping[str, Mapping[str, Ranking]]) -> dict[Any, dict[str, Any]]:
        """The outcomes of learners of mask and pixels, where they were asked for."""
        return self.grid.fitted(self.grid.cells(rankings)) if self._selects else {}

    def _table(self, outcomes: Mapping[Any, Mapping[str, Any]], selected: Mapping[Any, Mapping[str, Any]]) -> pd.DataFrame:
        rows = []
        for name in self._names:
            for level in self.compared.levels:
                for seed in self.compared.seeds:
                    row: dict[str, Any] = dict.fromkeys(COLUMNS, float("nan"))  # what is not measured stays so
                    row |= {"attribution": name, "level": level, "seed": seed}
                    for side in SIDES:
                        outcome = outcomes[name, level, seed, side]
                        row |= {side: outcome["accuracy"], f"bits_{side}": outcome["bits"]}
                        row |= {
                            f"values_{side}": self._nothing - outcome["bits"],
                            f"swap_{side}": self._nothing - outcome["choice_bits"],
                            f"as_read_{side}": self._nothing - outcome["come_bits"],
                        }
                        if selected:
                            both = selected[name, level, seed, f"both_{side}"]
                            row |= {f"both_{side}": both["accuracy"], f"bits_both_{side}": both["bits"]}
                            row[f"selection_{side}"] = outcome["bits"] - both["bits"]
                    rows.append(row | {measure.column: float(measure.of(row)) for measure in MEASURES})
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def _details(self, outcomes: Mapping[Any, Mapping[str, Any]], selected: Mapping[Any, Mapping[str, Any]]) -> dict[str, Any]:
        grid = self.grid
        test = grid.sets["test"].labels.numpy()
        whole = [outcomes["whole", seed] for seed in self.compared.seeds]
        images = {
            (name, level): self._by_image(outcomes, selected, name, level) for name in self._names for level in self.compared.levels
        }
        return {
            "whole": [outcome["accuracy"] for outcome in whole],
            "whole_bits": [outcome["bits"] for outcome in whole],
            "nothing": self._nothing,
            "chance": int(np.bincount(test).max()) / len(test),
            "gap": [self._gap(outcomes, level) for level in self.gap_levels],
            "against": self._against(images),
            "blind": [name for name, one in grid.controls.items() if not one["test"].knows_images],
            **image_variances(images, MEASURES),
        }

    @cached_property
    def _prior(self) -> np.ndarray:
        train = self.grid.sets["train"]
        return label_prior(train.labels.numpy(), len(train.classes))

    @cached_property
    def _nothing(self) -> float:
        return bits_of_nothing(self._prior, self.grid.sets["test"].labels.numpy())

    def _by_image(
        self, outcomes: Mapping[Any, Mapping[str, Any]], selected: Mapping[Any, Mapping[str, Any]], name: str, level: float
    ) -> dict[str, np.ndarray]:
        """What is measured of each seed and test image, (S, N), by its column."""
        test = self.grid.sets["test"].labels.numpy()
        nothing = -np.log2(self._prior)[test]
        found: dict[str, np.ndarray] = {}
        for side in SIDES:
            own = [outcomes[name, level, seed, side] for seed in self.compared.seeds]
            bits, choice, come = (
                np.stack([unpacked_bits(one[f"{kind}image_bits"]) for one in own]) for kind in ("", "choice_", "come_")
            )
            found[side] = np.stack([unpacked(one["correct"], len(test)) for one in own])
            found |= {f"bits_{side}": bits, f"values_{side}": nothing - bits}
            found |= {f"swap_{side}": nothing - choice, f"as_read_{side}": nothing - come}
            if selected:
                both = [selected[name, level, seed, f"both_{side}"] for seed in self.compared.seeds]
                found[f"selection_{side}"] = bits - np.stack([unpacked_bits(one["image_bits"]) for one in both])
        return found

    def _against(self, images: Mapping[tuple[str, float], dict[str, np.ndarray]]) -> dict[str, dict[str, list[dict[str, float]]]]:
        """Values of each audited attribution less those of each control, level by level: means and intervals over both."""
        levels, test = self.compared.levels, len(self.grid.sets["test"])
        found: dict[str, dict[str, list[dict[str, float]]]] = {name: {} for name in self.grid.attributions}
        for name in self.grid.attributions:
            for control in self.grid.controls:
                rows = []
                for level in levels:
                    difference = VALUES.of(images[name, level]) - VALUES.of(images[control, level])
                    part = image_variance(difference)
                    one = interval(list(difference.mean(axis=1)), len(levels), 1 / test, part, test)
                    ends = {"mean": one.mean, "low_all": one.low_all, "high_all": one.high_all}
                    rows.append({"level": level} | {key: value for key, value in ends.items() if value == value})
                found[name][control] = rows
        return found

    def _gap(self, outcomes: Mapping[Any, Mapping[str, Any]], level: float) -> dict[str, float]:
        """What networks trained for random masks of one level alone know more of them than evaluators, in bits."""
        seeds = self.compared.seeds[: self.gap]
        pairs = [(outcomes[EVALUATOR, level, seed], outcomes[GAP, level, seed]) for seed in seeds]
        difference = np.stack([unpacked_bits(ours["image_bits"]) - unpacked_bits(alone["image_bits"]) for ours, alone in pairs])
        count = difference.shape[1]
        if len(seeds) > 1:
            found = interval(list(difference.mean(axis=1)), 1, 1 / count, image_variance(difference), count)
            low, high = found.low, found.high
        else:
            half = 1.96 * float(difference.std(ddof=1)) / count**0.5
            low, high = float(difference.mean()) - half, float(difference.mean()) + half
        known = self._nothing - float(np.mean([alone["bits"] for _, alone in pairs]))
        return {"level": level, "mean": float(difference.mean()), "low": low, "high": high, "alone": known, "seeds": len(seeds)}

    def _shown_on_others(self) -> list[str]:
        names = list(self.pool if self.masks is None else self.masks)
        return [f"rankings of other images ({'; '.join(names)})"] if names else []

    def _settings(self) -> dict[str, Any]:
        ours = {
            "evaluate": "values",
            "evaluator": self.spec.recipe.model_dump(exclude={"seed"}) | {"network": self.spec.name},
            "masks": ["random pixels", "smooth random fields", *self._shown_on_others()],
            "gap_seeds": self.gap,
        }
        given = self.grid.settings()
        if not self._selects:
            given.pop("learner")
        return given | ours

    def ranking(self) -> Cost:
        """What the rankings of the test images take, as if the store had none."""
        return self.grid.ranking_of("test")

    def _seconds_to_read(self, training: EvaluatorTraining) -> float:
        """Predicted seconds of all readings by evaluators of such a training, one after the other, as if the store had none."""
        test = self.grid.sets["test"]
        some = test[: min(len(test), READ_AT_ONCE)]
        with one_thread():
            evaluator = untrained(training)
            masks = torch.rand(len(some), training.mask_channels, *test.shape[1:]) < 0.5
            evaluator.logits(some, masks)  # the first call is slow
            start = time.perf_counter()
            evaluator.logits(some, masks)
            each = (time.perf_counter() - start) / len(some)
        count = len(self._names) * len(self.compared.levels) * len(SIDES) + 1
        return 2 * each * len(test) * count * len(self.compared.seeds)
