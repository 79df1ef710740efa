"""`audit`: every instrument that applies, on every classifier; finished work is kept."""

from __future__ import annotations

import functools
import json
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import torch
from rich.markup import escape
from torch import Tensor, nn

from gradaudit.attributions import Attribution
from gradaudit.auditing.description import accuracy_caveats, accuracy_of, describe, predictions
from gradaudit.auditing.keys import key_part
from gradaudit.auditing.options import AuditOptions
from gradaudit.auditing.result import AuditResult, folder_of, settings_of
from gradaudit.auditing.settings import Settings, resolve_settings
from gradaudit.classifiers import check_classifier, classifier_fingerprint, with_logits
from gradaudit.devices import resolve_device
from gradaudit.diffusion import Denoiser
from gradaudit.errors import InputError, require
from gradaudit.files import ensure_room, write_text
from gradaudit.images import ImageSet, shared_images
from gradaudit.instruments.contract import about, audited, instrument
from gradaudit.instruments.costs import Cost, image_seconds, predicted, with_memory
from gradaudit.instruments.counterfactual.instrument import check_helpers
from gradaudit.instruments.diffroar.arguments import named_attributions
from gradaudit.instruments.setup import Run, Setup, at_most
from gradaudit.markup.pictures import EXAMPLES
from gradaudit.memory import memory_limit
from gradaudit.options import Options, takes
from gradaudit.progress import duration, tell
from gradaudit.report import Pictures, gallery
from gradaudit.results import Result, versions
from gradaudit.training.backends import resolve_backend
from gradaudit.training.learners import check_alike, shared_caveat
from gradaudit.training.store import as_store, key_of

COUNTS = ("networks", "gradients", "forwards", "denoised")  # of an estimate
ROOM = 2**20  # bytes that a result may take, roughly


R = TypeVar("R")

Classifiers = Mapping[str, nn.Module] | nn.Module


@takes(AuditOptions)
def prepare_audit(classifiers: Classifiers, train: ImageSet, test: ImageSet, options: AuditOptions) -> Audit:
    """A checked audit that has not started: `skipped` says what is left out and why, `estimate()` what it takes, `run()` does it.

    Args:
        classifiers: what is audited, by name, or a single one: images in [0, 1] to logits (N, K), normalisation inside.
        train: images on which learners are trained, and among which neighbours are looked for.
        test: images on which all is measured.
        {options}

    Raises:
        InputError: a bad argument.
    """
    named = {"classifier": classifiers} if isinstance(classifiers, nn.Module) else classifiers
    _check(named, train, test, options)
    settings = resolve_settings(options.preset, options.options or {})
    tested = at_most(test, settings.test_images, options.seed)
    require(len(tested) > 1, "test_images", len(tested), "2 or more: no instrument can say anything of a single image")
    run = _run(options)
    checked = {name: check_classifier(one, tested) for name, one in named.items()}
    setup = Setup(
        classifiers={name: one.classifier for name, one in checked.items()},
        recipes=dict(options.recipes or {}),
        train=at_most(train, settings.train_images, options.seed),
        test=tested,
        denoiser=options.denoiser,
        robust=None if options.robust is None else with_logits(options.robust, tested, "robust"),
        oracles={name: with_logits(one, tested, f"oracles[{name!r}]") for name, one in (options.oracles or {}).items()},
        run=run,
        on_blocks=dict(options.on_blocks or {}),
    )
    classifier_caveats = [f"{name}: {caveat}" for name, one in checked.items() for caveat in one.caveats]
    ready = Audit(setup, settings, options.preset, classifier_caveats)
    if any({"counterfactual", "counterfactual_differences"} & {*ready._wanted(name)} for name in named):
        for name in named:  # now, and not when the last instrument begins
            check_helpers(setup, name, ready._wanted(name).get("counterfactual"))
    return ready


def _check(named: Any, train: ImageSet, test: ImageSet, options: AuditOptions) -> None:
    _check_named("classifiers", named)
    folders = [folder_of(name).casefold() for name in named]  # as some file systems compare
    require(len(set(folders)) == len(folders), "classifiers", [*named], "names that give each a folder of its own")
    check_alike(train, test)
    robust, denoiser = options.robust, options.denoiser
    require(robust is None or isinstance(robust, nn.Module), "robust", type(robust).__name__, "an nn.Module, or None")
    _check_named("oracles", options.oracles or {}, empty=True)
    require(denoiser is None or isinstance(denoiser, Denoiser), "denoiser", denoiser, "a Denoiser; load_denoiser makes one")
    _check_named("on_blocks", options.on_blocks or {}, empty=True)
    for argument, given in (("recipes", options.recipes), ("on_blocks", options.on_blocks)):
        strangers = [name for name in given or {} if name not in named]
        require(not strangers, argument, strangers, f"of audited classifiers: {', '.join(named)}")


def _run(options: AuditOptions) -> Run:
    store, device = as_store(options.store), resolve_device(options.device)
    resolve_backend(options.backend, store, device)  # now, and not after hours
    return Run(options.seed, store, options.workers, options.backend, device, options.show_progress, options.memory)


@takes(AuditOptions)
def audit(classifiers: Classifiers, train: ImageSet, test: ImageSet, options: AuditOptions) -> AuditResult:
    """All instruments that apply, on one or several classifiers: whether their input gradients can be believed.

    What an instrument lacks (a denoiser, a signal mask, enough training images) is said in the result's `skipped`, never passed
    over in silence. Each finished instrument is kept in the store, so that a run that was stopped goes on where it was.

    Args:
        classifiers: what is audited, by name, or a single one: images in [0, 1] to logits (N, K), normalisation inside.
        train: images on which learners are trained, and among which neighbours are looked for.
        test: images on which all is measured.
        {options}

    Returns:
        A result with `results`, `skipped`, `agreement`, `write(folder)`.

    Raises:
        InputError: a bad argument.
        StoreError: the store can't be written; what was finished before is kept, and the same call continues.
    """
    return prepare_audit(classifiers, train, test, **vars(options)).run()


def _under_limit(method: Callable[[Audit], R]) -> Callable[[Audit], R]:
    """The method, with the limit of memory that the audit was prepared with."""

    @functools.wraps(method)
    def call(self: Audit) -> R:
        with memory_limit(self.setup.run.memory):
            return method(self)

    return call


@dataclass(frozen=True, eq=False)
class Audit:
    """An audit, checked and ready; made by `prepare_audit`."""

    setup: Setup
    settings: Settings
    preset: str
    classifier_caveats: Sequence[str] = ()

    @cached_property
    def skipped(self) -> dict[str, dict[str, str]]:
        """For each classifier the instruments that it can't have, and why."""
        found: dict[str, dict[str, str]] = {}
        for name in self.setup.classifiers:
            for kind, options in self.settings.chosen.items():
                reason = "switched off" if options is None else instrument(kind).lacks(self.setup, name, options)
                if reason is not None:
                    found.setdefault(name, {})[kind] = reason
        return found

    @cached_property
    @_under_limit
    def _seen(self) -> dict[str, Tensor]:
        """The class that each classifier gives each test image."""
        return {name: predictions(self.setup, name) for name in self.setup.classifiers}

    @property
    def accuracies(self) -> dict[str, float]:
        """The share of the test images that each classifier gives their label."""
        return {name: accuracy_of(seen, self.setup.test) for name, seen in self._seen.items()}

    @cached_property
    def caveats(self) -> list[str]:
        """What must be looked into before anything else: classifiers that are no better than a constant answer, shared images."""
        shared = shared_images(self.setup.train, self.setup.test)
        about_images = [shared_caveat(shared, len(self.setup.test))] if shared else []
        return [*self.classifier_caveats, *accuracy_caveats(self.setup.test, self._seen), *about_images]

    @_under_limit
    def estimate(self) -> pd.DataFrame:
        """What each classifier and instrument will take: `networks` to train, images through the classifier and back
        (`gradients`), through it alone (`forwards`) and through the denoiser (`denoised`); predicted `seconds`, and the bytes of
        main memory that the process and its workers will hold at most (`memory`; NaN where that is not predicted: of what
        asks a denoiser or trains other networks than DiffROAR's, on an accelerator, and elsewhere than on Linux).

        What the store has takes nothing; networks that several share, as those of controls, count where they come first.
        """
        rows = []
        trained: set[str] = set()
        denoiser = None if self.setup.unfit_denoiser else self.setup.denoiser
        for name, classifier in self.setup.classifiers.items():
            each = image_seconds(classifier, denoiser, self.setup.test, self.setup.run.device)
            for kind, options in self._wanted(name).items():
                cost = self._cost(name, kind, options).without(trained)
                trained |= cost.learners
                counts = (len(cost.learners) + cost.networks, cost.gradients, cost.forwards, cost.denoised)
                found = predicted(cost, each, self.setup.run.device)
                rows.append((name, kind, *counts, found.seconds, found.memory))
        return pd.DataFrame(rows, columns=["classifier", "instrument", *COUNTS, "seconds", "memory"])

    @_under_limit
    def run(self) -> AuditResult:
        """Every instrument on every classifier, from the store where it is there."""
        start = time.perf_counter()
        reasons = sorted({reason for one in self.skipped.values() for reason in one.values()})
        some = any(self._wanted(name) for name in self.setup.classifiers)
        require(some, "options", self.preset, f"such that an instrument is left to run; none is: {'; '.join(reasons)}")
        self._say(_spell(self.estimate(), self.accuracies) if self.setup.run.show_progress else "")
        for caveat in self.caveats:
            self._say(f"[bold]Look into this first[/bold]: {escape(caveat)}")
        results: dict[str, dict[str, Result]] = {name: {} for name in self.setup.classifiers}
        seconds: dict[str, dict[str, float]] = {name: {} for name in self.setup.classifiers}
        for kind in audited():
            for name in self.setup.classifiers:
                if kind not in (wanted := self._wanted(name)):
                    continue
                begun = time.perf_counter()
                self._say(f"{kind}, {name}")
                results[name][kind] = self._once(name, kind, wanted[kind])
                seconds[name][kind] = time.perf_counter() - begun
        timings = {"seconds": time.perf_counter() - start, "instruments": seconds}
        settings = settings_of(self.setup, self.settings, self.preset)
        return AuditResult(results, self.skipped, settings, timings, self._pictures(results), self._facts(), self.caveats)

    def _pictures(self, results: Mapping[str, Mapping[str, Result]]) -> list[Pictures]:
        """Some test images with the gradients of every classifier that has results; those that were changed come first."""
        shown = {name: one for name, one in self.setup.classifiers.items() if results[name]}
        options = self.settings.chosen["diffroar"]
        first = _first_of_test(getattr(options, "attribution", "logit_gradient"), self.setup.run.seed)
        begin = _changed(results, self.setup.test)
        return [gallery(shown, self.setup.test, first, controls=("random",), seed=self.setup.run.seed, first=begin)]

    def _facts(self) -> dict[str, dict[str, str]]:
        return {name: describe(self.setup, name, seen) for name, seen in self._seen.items()}

    def _wanted(self, name: str) -> dict[str, Options]:
        """The options of each instrument that the classifier will have."""
        left_out = self.skipped.get(name, {})
        return {kind: one for kind, one in self.settings.chosen.items() if kind not in left_out and one is not None}

    def _cost(self, name: str, kind: str, options: Options) -> Cost:
        return Cost() if self._entry(name, kind, options).exists() else instrument(kind).cost(self.setup, name, options)

    def _once(self, name: str, kind: str, options: Options) -> Result:
        entry = self._entry(name, kind, options)
        if entry.exists():
            try:
                return Result.load(entry)
            except InputError as error:
                warnings.warn(f"ignoring a damaged entry of the store: {error}", stacklevel=2)
                shutil.rmtree(entry, ignore_errors=True)
        result = instrument(kind).measure(self.setup, name, options)
        _keep(result, entry)
        self.setup.run.store.publish_folder(entry)
        return Result.load(entry)  # as the next run will find it

    def _entry(self, name: str, kind: str, options: Options) -> Path:
        """The folder of the store that holds this outcome, or will."""
        setup = self.setup
        described = {
            "what": "audits",
            "instrument": kind,
            "options": {option: key_part(getattr(options, option)) for option in sorted(about(kind).settable)},
            "classifier": classifier_fingerprint(setup.classifiers[name]),
            "uses": instrument(kind).uses(setup, name, options),
            "test": setup.test.fingerprint,
            "seed": setup.run.seed,
            "device": setup.run.device.type,
            "versions": versions(),
        }
        return setup.run.store.fetch_folder(setup.run.store.folder / "audits" / key_of(described))

    def _say(self, text: str) -> None:
        if self.setup.run.show_progress and text:
            tell(text)


def _keep(result: Result, entry: Path) -> None:
    """Write the result, without tables and figures, to a folder that appears whole or not at all."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    ensure_room(entry.parent, ROOM)
    with tempfile.TemporaryDirectory(prefix=f".{entry.name[:8]}", suffix=".part", dir=entry.parent) as folder:
        write_text(Path(folder) / "results.json", json.dumps(result.to_json(), allow_nan=False) + "\n")
        try:
            Path(folder).rename(entry)
        except OSError:
            if not entry.exists():  # else another process was first
                raise
        else:
            Path(folder).mkdir()  # for the context manager to take away


def _first_of_test(attribution: Any, seed: int) -> Attribution:
    """The first of DiffROAR's attributions, as it is of test images."""
    return next(iter(named_attributions(attribution, seed).values()))["test"]


def _changed(results: Mapping[str, Mapping[str, Result]], test: ImageSet) -> list[int]:
    """Which test images the first screen shows changed, so that maps stand beside what they were changed into."""
    found = [one for own in results.values() for kind, result in own.items() for one in instrument(kind).changes(result)]
    shown: list[int] = []
    for change in found[:EXAMPLES]:
        place = next((place for place, image in enumerate(test.images) if torch.equal(image, change.before)), None)
        shown += [] if place is None or place in shown else [place]
    return shown


def _check_named(argument: str, named: Any, empty: bool = False) -> None:
    good = isinstance(named, Mapping) and all(isinstance(name, str) and name for name in named)
    require(good and (empty or len(named) > 0), argument, named, "classifiers by name, such as {'standard': module}")
    for name, one in named.items():
        require(isinstance(one, nn.Module), f"{argument}[{name!r}]", type(one).__name__, "an nn.Module")


def _spell(estimate: pd.DataFrame, accuracies: Mapping[str, float]) -> str:
    total = estimate[[*COUNTS, "seconds"]].sum()
    networks, gradients, forwards, denoised = (f"{int(total[name]):,}" for name in COUNTS)
    left = duration(float(total["seconds"]))
    right = ", ".join(f"{escape(name)} {100 * accuracy:.1f} %" for name, accuracy in accuracies.items())
    counts = f"{networks} networks to train, {gradients} gradients, {forwards} images forward, {denoised} denoised images"
    work = f"{counts}: about {left}, {with_memory(float(estimate['memory'].max()))}"
    return f"Test images given their label: {right}\nAudit: {work}"
