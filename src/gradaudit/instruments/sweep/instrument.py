"""A sweep as its command and the page ask for it; it trains its classifiers itself, and so is no part of an audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from gradaudit.devices import one_thread, seeded
from gradaudit.errors import require
from gradaudit.instruments.alignment.instrument import working_bytes as aligning
from gradaudit.instruments.contract import Instrument
from gradaudit.instruments.costs import Cost, of_workers
from gradaudit.instruments.manifold_robustness.arguments import PAPER_RADII
from gradaudit.instruments.manifold_robustness.instrument import moving
from gradaudit.instruments.robustness.instrument import working_bytes as attacking
from gradaudit.instruments.setup import Setup
from gradaudit.instruments.sweep.arguments import STEPS
from gradaudit.instruments.sweep.families import BASE, members, read_families
from gradaudit.instruments.sweep.options import ABOUT, STRENGTHS, SweepCommand, SweepOptions
from gradaudit.instruments.sweep.regimes import UNCERTAIN
from gradaudit.instruments.sweep.result import RATIO, SweepResult
from gradaudit.instruments.sweep.schedule import passes
from gradaudit.instruments.sweep.section import sweep_section
from gradaudit.instruments.sweep.sweeping import sweep
from gradaudit.instruments.tangents import read_tangents
from gradaudit.markup.section import Section
from gradaudit.options import Numbers
from gradaudit.training import Recipe, named_recipe
from gradaudit.training.backends import resolve_backend
from gradaudit.training.once import kept_classifier
from gradaudit.training.sizing import bytes_of_training
from gradaudit.training.trained import draw_from
from gradaudit.training.workers import resolve_workers


class Sweep(Instrument):
    """A sweep."""

    about = ABOUT
    results = (SweepResult,)

    def commanded(self, setup: Setup, options: SweepCommand, words: Mapping[str, Any]) -> tuple[Setup, SweepCommand]:
        """Families, recipe and tangent spaces as the function takes them."""
        families = _families(options.family or [*STRENGTHS])
        tangents = read_tangents("--tangents", options.tangents, words["allow_pickle"])
        return setup, replace(options, families=families, base=_base(options, setup.run.seed), tangents=tangents)

    def measure(self, setup: Setup, name: str, options: SweepCommand) -> SweepResult:
        """The sweep; tangent spaces are made once all else has been checked."""
        assert setup.denoiser is not None
        spaces = read_tangents("tangents", options.tangents).spaces(setup, show_progress=setup.run.show_progress)
        words = setup.keywords(options, SweepOptions)
        return sweep(setup.train, setup.test, denoiser=setup.denoiser, tangent_spaces=spaces, **words)

    def cost(self, setup: Setup, name: str, options: SweepCommand) -> Cost:
        """The trainings that the store lacks, and every classifier's three instruments."""
        recipes = _recipes(options)
        missing = [one for one in recipes if not kept_classifier(one, setup.train, setup.run.store, setup.run.device).exists()]
        steps = sum(one.epochs * (1 + passes(one)) for one in missing)
        count, moved = len(setup.test), len(options.radius or PAPER_RADII) * options.samples * 2 // 3
        gradients = len(recipes) * count * (STEPS * len(options.eps) + 1 + moved)
        measuring = Cost(gradients=gradients, denoised=len(recipes) * 4 * count * len(options.sigma))
        tangents = read_tangents("tangents", options.tangents)
        bases = 4 * setup.test.images[0].numel() * count * tangents.dimensions(setup)
        training = Cost(networks=len(missing), gradients=len(setup.train) * steps)
        memory = _bytes_of_classifiers(setup, options, missing) + bases
        return training + replace(measuring, memory=memory) + tangents.cost(count, setup)

    def plan(self, setup: Setup, name: str, options: SweepCommand) -> str:
        """The same in words, with the time that a classifier of this network takes."""
        network = _recipes(options)[0].build(setup.train.shape, len(setup.train.classes))
        return super().plan(replace(setup, classifiers={name: network}), name, options)

    def section(self, results: Mapping[str, SweepResult]) -> Section:
        """Its section."""
        return sweep_section(results)

    def tables(self, result: SweepResult, name: str) -> list[tuple[str, pd.DataFrame]]:
        """A row a classifier with its regime, the peaks, the correlations."""
        peaks = result.peaks().rename(columns={"probability": "P(intermediate)"})
        together = "Spearman's rank correlation of off-manifold robustness and alignment"
        return [(f"Sweep, {name}", _classifiers(result)), ("Largest alignment", peaks), (together, result.correlation())]


def _bytes_of_classifiers(setup: Setup, options: SweepCommand, missing: Sequence[Recipe]) -> float:
    """Bytes at the peak of all workers: of the trainings that are lacking, and of the three instruments."""
    assert setup.denoiser is not None
    device, draw = setup.run.device, draw_from(setup.train, setup.run.device)
    one_of_each = {one.objective.partition("(")[0]: one for one in missing}
    needed = []
    with one_thread(), seeded(setup.run.seed, device):
        network = _recipes(options)[0].build(setup.train.shape, len(setup.train.classes)).to(device)
        for recipe in one_of_each.values():
            needed.append(
                bytes_of_training(recipe.build(setup.train.shape, len(setup.train.classes)).to(device), draw, recipe, device)
            )
    radii = len(options.radius or PAPER_RADII)
    needed += [
        attacking(network, setup.test, device),
        aligning(network, setup.denoiser, setup.test, device),
        moving(network, setup.test, setup, 2 * radii, options.samples).memory,
    ]
    crew_size = resolve_workers(setup.run.workers, resolve_backend(setup.run.backend, setup.run.store, device))
    workers = max(1, min(crew_size, len(_recipes(options))))
    copies = sum(weight.nbytes for weight in setup.denoiser.parameters()) if workers > 1 else 0
    return of_workers(max(needed) + copies, workers)


def _classifiers(result: SweepResult) -> pd.DataFrame:
    settings, last = result.settings, result.settings["eps"][-1]
    radius, sigma = settings["reference_radius"], settings["sigma"][0]
    shown = {
        "accuracy": ("accuracy", None),
        f"PGD {settings['norm']} {last:g}": ("pgd", last),
        f"alignment {sigma:g}": ("alignment", sigma),
        "control": ("alignment_control", sigma),
        f"change on {radius:.3g}": ("change_on", radius),
        f"change off {radius:.3g}": ("change_off", radius),
        "on / off": (RATIO, None),
    }
    regimes = result.regimes
    sure = [float("nan") if one == UNCERTAIN else float(regimes[one].iloc[place]) for place, one in enumerate(regimes["regime"])]
    values = {name: result.rows(*where)["value"].to_numpy() for name, where in shown.items()}
    return regimes[["family", "strength"]].assign(**values, regime=regimes["regime"], probability=sure)


def _families(given: Sequence[str]) -> dict[str, tuple[float, ...] | None]:
    """Strengths by family; an `=` within brackets is an option's."""
    found: dict[str, tuple[float, ...] | None] = {}
    for text in given:
        head, bracket, tail = text.rpartition(")")
        name, equals, strengths = tail.partition("=")
        name = head + bracket + name
        require(name not in found, "--family", text, "named once")
        found[name] = Numbers().read("--family", strengths) if equals else None
    return found


def _base(options: SweepCommand, seed: int) -> Recipe:
    changes = {"seed": seed} | ({} if options.epochs is None else {"epochs": options.epochs})
    return BASE.with_(**changes) if options.recipe is None else named_recipe(options.recipe, **changes)


def _recipes(options: SweepCommand) -> list[Recipe]:
    return [one for _, _, one in members(options.base or BASE, read_families(options.families, options.norm))]


INSTRUMENT = Sweep()
